"""Loading a policy and its tokenizer, asking it for the logits of scored rows, and exporting it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor, nn

from iterpref.config import ModelConfig
from iterpref.data.collate import attention_mask
from iterpref.errors import UserError
from iterpref.models.quiet import quiet_transformers
from iterpref.schema import Batch, Message

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Decoders whose attention is causal over positions and nothing else: a 4-D mask means the same to each of them.
SHARED_PREFIX_TYPES = ("llama", "qwen2", "qwen3")


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in the folder; raises `UserError` when there is none."""
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder} holds no tokenizer that transformers can read ({type(error).__name__}: {error})"
        ) from None


def load_model(folder: Path, config: ModelConfig) -> Any:
    """The causal language model in the folder, in train mode, with weights of `model.dtype` whatever the file has."""
    from transformers import AutoModelForCausalLM

    try:
        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=DTYPES[config.dtype], attn_implementation=config.attention
            )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder} holds no model that transformers can read ({type(error).__name__}: {error})"
        ) from None
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    # from_pretrained returns eval mode, in which gradient checkpointing stays off.
    return model.train()


def check_model(model: Any, config: ModelConfig, packing: str, longest: int) -> None:
    """Raises `UserError` for a batch that this model would get wrong: too long for it, or of an unchecked kind."""
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit and longest > limit:
        raise UserError(
            f"the longest pair has {longest} tokens, but {config.name} ends at {limit}: "
            "lower data.max_prompt_tokens and data.max_completion_tokens"
        )
    kind = model.config.model_type
    if packing == "shared" and (kind not in SHARED_PREFIX_TYPES or getattr(model.config, "sliding_window", None)):
        raise UserError(
            f"data.packing=shared is proven for {', '.join(SHARED_PREFIX_TYPES)} without sliding window, "
            f"and {config.name} is a {kind}: set data.packing=padded"
        )


def render_prompts(tokenizer: Any, prompts: Sequence[str | Sequence[Message]], config: ModelConfig) -> list[str]:
    """The texts that go in front of a completion: the chat template's rendering of the turns, or the prompts as they are.

    A prompt that is a text is the user's only turn. Raises `UserError` where the template cannot render the turns.
    """
    if config.prompt_format == "plain":
        for prompt in prompts:
            if not isinstance(prompt, str):
                raise UserError(
                    f"model.prompt_format=plain cannot say who speaks, and a prompt has {len(prompt)} turns "
                    f"(the first: {prompt[0].content[:60]!r}): set model.prompt_format=chat"
                )
        return [p for p in prompts if isinstance(p, str)]
    if not getattr(tokenizer, "chat_template", None):
        raise UserError(
            f"model {config.name} has no chat template: set model.prompt_format=plain, or put a chat_template into its tokenizer"
        )
    return [_through_template(tokenizer, prompt, config.name) for prompt in prompts]


def _through_template(tokenizer: Any, prompt: str | Sequence[Message], name: str) -> str:
    turns = [Message("user", prompt)] if isinstance(prompt, str) else prompt
    messages = [{"role": t.role, "content": t.content} for t in turns]
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        roles = ", ".join(t.role for t in turns)
        raise UserError(
            f"the chat template of model {name} refuses the turns {roles} ({error}); the first of them: {turns[0].content[:60]!r}"
        ) from None


@contextmanager
def scored_rows_only(model: Any, rows_R: Tensor) -> Iterator[None]:
    """Inside the block the model's output head sees only the hidden states at `rows_R`, so its logits are [R, V].

    A hook in front of the head, rather than a call of the head: scaling and soft caps that some models put behind it stay.
    """

    def select(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden_STH, *rest = inputs
        return (hidden_STH.flatten(0, 1).index_select(0, rows_R), *rest)

    handle = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


def scored_logits(model: Any, batch: Batch) -> Tensor:
    """Logits [R, V] of the batch's scored rows, in the dtype of the forward pass."""
    mask_dtype = model.dtype
    if torch.is_autocast_enabled(batch.input_ids_ST.device.type):
        # SDPA takes a float mask of the queries' dtype, which autocast has lowered.
        mask_dtype = torch.get_autocast_dtype(batch.input_ids_ST.device.type)
    with scored_rows_only(model, batch.rows_R):
        output = model(
            input_ids=batch.input_ids_ST,
            position_ids=batch.position_ids_ST,
            attention_mask=attention_mask(batch, mask_dtype),
            use_cache=False,
        )
    return output.logits


def export(model: Any, source: Path, folder: Path) -> Path:
    """A Hugging Face folder of the trained model with its tokenizer, renamed into place when complete."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with quiet_transformers():
        model.save_pretrained(partial)
        load_tokenizer(source).save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder
