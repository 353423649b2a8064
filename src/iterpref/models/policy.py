"""Loading a policy and its tokenizer, and asking it for hidden states and logits of scored rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from torch import Tensor, nn

from iterpref.batch import Batch
from iterpref.checksums import check_weights
from iterpref.config import ModelConfig
from iterpref.errors import UserError
from iterpref.models.adapters import quantization
from iterpref.models.quiet import quiet_transformers
from iterpref.models.shared_prefix import FLEX, FLEX_APART, attention_masks, register_flex
from iterpref.ops import LogitMap, TokenLogRatio, linear_logratio
from iterpref.schema import Message

# Nothing random happens in a forward pass: dropout is off.
_CHECKPOINTING = {"use_reentrant": False, "preserve_rng_state": False}
# Share of a compiled layer's activations that is kept for backward. What is cheapest is computed again: on an H200 a step
# takes as long as with all of them kept, in four fifths of the memory (docs/results.md).
KEPT = 0.7
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in the folder; raises `UserError` when there is none."""
    from transformers import AutoTokenizer

    return _read(AutoTokenizer, folder, "tokenizer")


def model_settings(folder: Path) -> Any:
    """transformers' config of the model in the folder; raises `UserError` where it reads none."""
    from transformers import AutoConfig

    return _read(AutoConfig, folder, "model")


def _read(kind: Any, folder: Path, what: str) -> Any:
    try:
        with quiet_transformers():
            return kind.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(folder, what, error) from None


def _unreadable(folder: Path, what: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:300]
    return UserError(f"{folder} holds no {what} that transformers can read ({type(error).__name__}: {reason})")


def load_model(folder: Path, config: ModelConfig, attention: str = "sdpa") -> Any:
    """The causal language model in the folder, in train mode, with weights of `model.dtype` whatever the file has, or of
    4 bits by `model.quantization`; without adapters.

    Dropout is off: a policy that differs from its own copy at the first step has no log-ratio worth a name.

    Args:
        attention: as `resolve_attention` gives it.
    """
    from transformers import AutoModelForCausalLM

    settings = model_settings(folder)
    for name in [n for n in settings.to_dict() if n.endswith(("dropout", "pdrop"))]:
        if isinstance(getattr(settings, name, None), float):
            setattr(settings, name, 0.0)
    try:
        with quiet_transformers():
            made: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                output_loading_info=True,
                config=settings,
                dtype=DTYPES[config.dtype],
                attn_implementation=register_flex() if attention == "flex" else attention,
                quantization_config=quantization(config),
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _unreadable(folder, "model", error) from None
    check_weights(folder)
    model, loaded = made
    if missing := sorted(loaded["missing_keys"]):
        raise UserError(
            f"{folder} lacks {len(missing)} of the model's weights ({', '.join(missing[:3])}, ...), which would begin at random: "
            "its config.json is of another model than its weights, or a file is missing"
        )
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=_CHECKPOINTING)
    # from_pretrained returns eval mode, in which gradient checkpointing stays off.
    return model.train()


def resolve_attention(config: ModelConfig, packing: str, device: torch.device, folder: Path) -> str:
    """`model.attention`, with `auto` made `flex` for shared prefixes on a GPU, `eager` for soft-capped scores and for models
    that know nothing faster, else `sdpa`.

    Raises `UserError` where the choice cannot run.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    settings = model_settings(folder)
    softcap = getattr(settings.get_text_config(), "attn_logit_softcapping", None)
    flex = device.type == "cuda" and packing == "shared"
    if config.attention == "flex" and not flex:
        raise UserError("model.attention=flex needs a GPU and data.packing=shared: set model.attention=auto")
    if config.attention == "sdpa" and softcap:
        raise UserError(
            f"model.attention=sdpa leaves out the soft cap of {config.name}'s scores: set model.attention=auto"
        )
    if config.attention != "auto":
        return config.attention
    if flex:
        return "flex"
    classes: Any = MODEL_FOR_CAUSAL_LM_MAPPING
    without_sdpa = type(settings) in classes and not classes[type(settings)]._supports_sdpa
    return "eager" if softcap or without_sdpa else "sdpa"


def prepare_generation(model: Any) -> None:
    """Attention for answers that grow token by token: a block mask would have nothing to skip."""
    if model.config._attn_implementation in (FLEX, FLEX_APART):
        model.set_attn_implementation("eager" if getattr(model.config, "attn_logit_softcapping", None) else "sdpa")


def compile_layers(model: Any) -> None:
    """Compiles each decoder layer on its own, FlexAttention within; a compilation serves all layers of a kind: the first for
    rows of one length, the second, when another one comes, for any."""
    import torch._dynamo
    import torch._functorch.config

    torch._functorch.config.activation_memory_budget = KEPT
    # Under DDP dynamo would cut a layer wherever a bucket of gradients is full: fused worse, and more of it kept.
    torch._dynamo.config.optimize_ddp = False
    decoder = model.get_decoder()
    for part in (*decoder.layers, decoder.norm):
        part.compile()  # never dynamic=True, to which a model's widths are as unknown as its rows' length


@contextmanager
def plain_layers(model: Any) -> Iterator[None]:
    """Within, compiled layers run as they are: a validation's few passes are not worth the seconds of further compilations,
    which code without gradients would be."""
    compiled = [(part, part._compiled_call_impl) for part in model.modules() if part._compiled_call_impl is not None]
    for part, _ in compiled:
        part._compiled_call_impl = None
    try:
        yield
    finally:
        for part, call in compiled:
            part._compiled_call_impl = call


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
        text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except TemplateError as error:
        roles = ", ".join(t.role for t in turns)
        raise UserError(
            f"the chat template of model {name} refuses the turns {roles} ({error}); the first of them: {turns[0].content[:60]!r}"
        ) from None
    if turns[-1].role == "user" and _letters(turns[-1].content) not in _letters(text):
        raise UserError(
            f"the chat template of model {name} leaves out what the user says: {turns[-1].content[:60]!r} became {text[:60]!r}; "
            "set model.prompt_format=plain, or mend the chat_template of its tokenizer"
        )
    return text


def _letters(text: str) -> str:
    """What is left of a text when a template trims it or changes its case."""
    return " ".join(text.split()).casefold()


def hidden_states(model: Any, batch: Batch) -> Tensor:
    """Hidden states [S * T, H] in front of the output head, in the dtype of the forward pass."""
    decoder = model.get_decoder()
    if batch.packing == "none":
        pieces = zip(
            batch.input_ids_ST.split(batch.lengths, 1), batch.position_ids_ST.split(batch.lengths, 1), strict=True
        )
        states = [decoder(input_ids=ids, position_ids=at, use_cache=False).last_hidden_state for ids, at in pieces]
        return torch.cat(states, 1).flatten(0, 1)
    mask_dtype = model.dtype
    if torch.is_autocast_enabled(batch.input_ids_ST.device.type):
        # SDPA takes a float mask of the queries' dtype, which autocast has lowered.
        mask_dtype = torch.get_autocast_dtype(batch.input_ids_ST.device.type)
    output = decoder(
        input_ids=batch.input_ids_ST,
        position_ids=batch.position_ids_ST,
        attention_mask=attention_masks(model, batch, mask_dtype),
        use_cache=False,
    )
    return output.last_hidden_state.flatten(0, 1)


def output_head(model: Any) -> tuple[Tensor, LogitMap]:
    """The weight [V, H] of the model's output head, and what stands between its product and the logits.

    `checks.check_head` makes sure that there is nothing else.
    """
    layer, config = model.get_output_embeddings(), model.config
    scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
    return layer.weight, LogitMap(float(scale), getattr(config, "final_logit_softcapping", None), layer.bias)


def scored_logits(model: Any, batch: Batch) -> Tensor:
    """Logits [R, V] of the batch's scored rows, in the dtype of the forward pass: to look at; `score_rows` trains."""
    weight_VH, head = output_head(model)
    return head.logits(nn.functional.linear(hidden_states(model, batch)[batch.rows_R], weight_VH))


def score_rows(model: Any, batch: Batch, ref_logps_R: Tensor | None, backend: str) -> TokenLogRatio:
    """Per-token log-ratios of the batch's scored rows, [R] each; `ref_logps_R` None: a reference of zeros."""
    weight_VH, head = output_head(model)
    hidden_TH = hidden_states(model, batch)
    return linear_logratio(
        hidden_TH, weight_VH, batch.rows_R, batch.labels_R, ref_logps_R=ref_logps_R, head=head, backend=backend
    )
