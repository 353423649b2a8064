"""Models on this machine: which weights a role means, the name that its answers are kept under, and prompts as its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from iterpref.artifacts import fingerprint
from iterpref.codeflow.generate.chat import Message, RequestRefused
from iterpref.config import ModelConfig, TrainerConfig
from iterpref.config.generate import GenerateConfig
from iterpref.errors import UserError


@dataclass(frozen=True)
class LocalModel:
    """A folder with weights and tokenizer."""

    config: ModelConfig  # with the dtype that it computes in
    folder: Path
    dtype: str = "auto"  # as `generate.dtype` has it
    longest: int | None = None  # prompt and answer together, tokens; None: the model's own limit

    @cached_property
    def name(self) -> str:
        """Tells the model from any other by weights, template and the dtype that was asked for.

        What `auto` means here is not in it: a data set made on a GPU is found again where there is none.
        """
        from iterpref.models.source import tokenizer_key, weights_key

        key = fingerprint(weights_key(self.folder), tokenizer_key(self.folder), self.dtype, self.config.prompt_format)
        return f"{self.config.name}@{key[:12]}"

    @cached_property
    def context(self) -> int | None:
        """The longest prompt and answer together, tokens; None: nobody says."""
        from iterpref.models.policy import model_settings

        own = getattr(model_settings(self.folder).get_text_config(), "max_position_embeddings", None)
        return min((n for n in (own, self.longest) if n is not None), default=None)

    @cached_property
    def tokenizer(self) -> Any:
        from iterpref.data.tokenise import check_tokenizer
        from iterpref.models.policy import load_tokenizer

        tokenizer = load_tokenizer(self.folder)
        check_tokenizer(tokenizer)
        return tokenizer

    def encode(self, messages: Sequence[Message], max_tokens: int) -> tuple[int, ...]:
        """The chat template's rendering as token ids, ready for the answer; a special token's name in a message stays text.

        Raises `RequestRefused` for messages that no tokenizer reads, or that leave no room for `max_tokens` in the context, and
        `UserError` where the tokenizer has no chat template.
        """
        from iterpref.data.tokenise import encodable, encode_prompts
        from iterpref.models.policy import render_prompts

        words = [message.content for message in messages]
        if any(not encodable(text) for text in words):
            raise RequestRefused("unsendable", "half of a surrogate pair")
        (prompt,) = render_prompts(self.tokenizer, [messages], self.config)
        try:
            (ids,) = encode_prompts(self.tokenizer, [prompt], [words], ["a message"])
        except UserError as error:
            raise RequestRefused("unsendable", str(error)) from None
        if self.context is not None and len(ids) + max_tokens > self.context:
            raise RequestRefused(
                "context_length", f"{len(ids)} tokens, and generate.max_tokens={max_tokens}: more than {self.context}"
            )
        return tuple(ids)


@dataclass(frozen=True)
class LocalModels:
    """`model` is the group `model=`; a role may name a folder or a hub id of its own. Each is made ready when first asked for."""

    data: Path
    model: ModelConfig = field(default_factory=ModelConfig)
    seed: int = 0
    # Roles mostly share a model, and a name is a hash of weights.
    _made: dict[tuple[Any, ...], LocalModel] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of(self, role: GenerateConfig) -> LocalModel:
        dtype = dtype_of(role)
        key = (role.model, role.dtype, dtype, role.max_context)
        if key not in self._made:
            self._made[key] = self._make(role, dtype)
        return self._made[key]

    def _make(self, role: GenerateConfig, dtype: str) -> LocalModel:
        from iterpref.models.source import resolve_model

        config = self.model
        if role.model is not None:
            config = ModelConfig(name=Path(role.model).name, source="pretrained", path=role.model)
        # What is for training says nothing here: a block mask would have nothing to skip.
        attention = "auto" if config.attention == "flex" else config.attention
        config = replace(config, dtype=dtype, attention=attention, gradient_checkpointing=False)
        return LocalModel(config, resolve_model(config, self.data, self.seed), role.dtype, role.max_context)


def device_of(role: GenerateConfig) -> Any:
    """The device that `generate.accelerator` means here."""
    from iterpref.devices import resolve_device

    return resolve_device(TrainerConfig(accelerator=role.accelerator), "generate.accelerator")


def dtype_of(role: GenerateConfig) -> str:
    """`generate.dtype`, with `auto` made bfloat16 on a GPU that computes in it, and float32 elsewhere."""
    return _auto_dtype(device_of(role).type) if role.dtype == "auto" else role.dtype


@cache
def _auto_dtype(device: str) -> str:
    import torch

    return "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
