"""LoRA: each linear layer W x becomes W x + (alpha / rank) B A x, of which A and B alone train (arXiv 2106.09685), by `peft`.

B starts at zero, so that the policy starts as its reference: the same model with the adapters off (`reference=adapter`).
Adapters are fp32, whatever the frozen weights are.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from iterpref.config import ModelConfig
from iterpref.errors import UserError


def add_adapters(model: Any, config: ModelConfig) -> Any:
    """The model with fresh adapters in front of frozen weights; itself where `model.lora.rank` is 0.

    Raises `UserError` where a name of `model.lora.targets` fits no layer, or one that can have none.
    """
    lora = config.lora
    if not lora.rank:
        return model
    check_packages(config)
    _check_targets(model, config)
    from peft import LoraConfig, TaskType, get_peft_model

    settings = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha or 2 * lora.rank, target_modules=list(lora.targets) or "all-linear",
        lora_dropout=0.0, bias="none", task_type=TaskType.CAUSAL_LM,
    )  # fmt: skip
    try:
        with warnings.catch_warnings():
            # Between peft and a newer transformers: nothing that its user can mend.
            warnings.filterwarnings(
                "ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning
            )
            adapted = get_peft_model(model, settings)
    except ValueError as error:
        raise UserError(f"model.lora.targets={list(lora.targets)} does not fit {config.name}: {error}") from None
    return adapted.train()


def _check_targets(model: Any, config: ModelConfig) -> None:
    """Raises `UserError` for a target that peft would pass over, because another one fits, or that training would."""
    layers = {name: layer for name, layer in model.named_modules() if name}
    whole = (model.get_input_embeddings(), model.get_output_embeddings())
    for target in config.lora.targets:
        fits = [layer for name, layer in layers.items() if name == target or name.endswith(f".{target}")]
        if not fits:
            linear = {
                n.rpartition(".")[2] for n, one in layers.items() if isinstance(one, nn.Linear) and one not in whole
            }
            raise UserError(
                f"model.lora.targets={list(config.lora.targets)}: no layer of {config.name} is named {target}; "
                f"choose among {', '.join(sorted(linear))}"
            )
        if any(layer in whole for layer in fits):
            raise UserError(
                f"model.lora.targets={list(config.lora.targets)}: {target} is {config.name}'s embedding or head, whose weight is read "
                "past its layer and may be one for both; leave it out"
            )


def quantization(config: ModelConfig) -> Any:
    """What `from_pretrained` takes as `quantization_config`, or None. Raises `UserError` where 4 bits cannot be computed with."""
    if config.quantization == "none":
        return None
    check_packages(config)
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )  # fmt: skip


def check_packages(config: ModelConfig) -> None:
    """Raises `UserError` for adapters without peft, and for 4 bits without bitsandbytes or a GPU."""
    if config.lora.rank:
        _need("peft", f"model.lora.rank={config.lora.rank}")
    if config.quantization != "none":
        _need("bitsandbytes", f"model.quantization={config.quantization}")
        if not torch.cuda.is_available():
            raise UserError(f"model.quantization={config.quantization} needs a GPU: set model.quantization=none")


def _need(package: str, option: str) -> None:
    if find_spec(package) is None:
        extra = {"peft": "lora", "bitsandbytes": "qlora"}[package]
        raise UserError(f"{option} needs {package}: pip install 'iterpref[{extra}]'")


def has_adapters(model: Any) -> bool:
    return hasattr(model, "peft_config") and hasattr(model, "disable_adapter")


def without_adapters(model: Any) -> AbstractContextManager[Any]:
    """Inside, the model is the one that it started as."""
    return model.disable_adapter() if has_adapters(model) else nullcontext()


def trained_only(model: Any, state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """The tensors of `state` that train: of a model with adapters, these alone."""
    if not has_adapters(model):
        return dict(state)
    trained = {prefix + name for name, p in model.named_parameters() if p.requires_grad}
    return {name: tensor for name, tensor in state.items() if name in trained}


def check_trained(model: Any, names: Collection[str]) -> None:
    """Raises `UserError` where these are not exactly the names of the tensors that train here."""
    differ = set(trained_only(model, model.state_dict())) ^ set(names)
    if differ:
        raise UserError(
            f"the checkpoint is of another model: {len(differ)} tensors are on one side alone, {min(differ)} among them: "
            "start over with resume=false, or choose another paths.run=DIR"
        )


def load_trained(model: Any, state: Mapping[str, Tensor]) -> None:
    """Puts in what `trained_only` gave."""
    check_trained(model, state)
    model.load_state_dict(state, strict=False)


def merged(model: Any) -> Any:
    """The model with its adapters added to the weights; changes it. Itself without adapters."""
    return model.merge_and_unload() if has_adapters(model) else model
