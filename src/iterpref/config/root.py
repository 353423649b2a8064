"""The root of the schema, and which command reads which of its sections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import Any

from iterpref.config.codeflow import DebugConfig, ProblemsConfig, SandboxConfig
from iterpref.config.evaluate import BenchmarkConfig, EvaluateConfig
from iterpref.config.generate import GenerateConfig
from iterpref.config.model import ConvertConfig, ModelConfig
from iterpref.config.option import option
from iterpref.config.pairs import PairsConfig
from iterpref.config.sweep import SweepConfig
from iterpref.config.training import DataConfig, LoggerConfig, LossConfig, MaskConfig, OptimConfig, TrainerConfig


@dataclass
class PathsConfig:
    data: str = option("data_cache", "folder of prepared stages and converted models; safe to share between runs")
    run: str = option("runs/latest", "folder of this run: logs, checkpoints, export, evaluation, report")


@dataclass
class ReportConfig:
    trajectories: int = option(6, "trajectories shown version by version", low=0)
    pairs: int = option(8, "pairs shown with their punished tokens", low=0)


@dataclass
class ExportConfig:
    path: str | None = option(None, "folder to write the pairs to; never one that holds anything else")
    form: str = option(
        "auto", "prompt, chosen, rejected as texts or as turns; auto: texts unless a prompt has several turns",
        choices=("auto", "plain", "conversational"),
    )  # fmt: skip
    push_to_hub: str | None = option(
        None, "data set on the Hugging Face hub, OWNER/NAME, that the finished folder is uploaded to"
    )
    private: bool = option(True, "whether a data set that the upload creates can be seen by its owner alone")


@dataclass
class Config:
    """Everything that one experiment is. Each command uses the sections listed in `SECTIONS`."""

    seed: int = option(0, "seed of data, initial weights and order", low=0, high=2**32 - 1)
    name: str = option("iterpref", "experiment name, in logs and reports")
    reference: str = option(
        "cached", "frozen reference: a second model in memory, stored log-probs, or the policy with its adapters off",
        choices=("live", "cached", "adapter"),
    )  # fmt: skip
    ops: str = option(
        "auto",
        "log-ratio op and AdamW: Triton kernels, or torch; auto: Triton on a GPU where it is installed",
        choices=("auto", "triton", "torch"),
    )
    executor: str = option(
        "local",
        "where programs run: on this machine, or on every node of the Ray cluster at $RAY_ADDRESS",
        choices=("local", "ray"),
    )
    plan: bool = option(False, "print what a step needs of a device's memory, and whether it fits, instead of training")
    resume: bool = option(True, "go on from the run folder's last checkpoint when there is one")
    plugins: list[str] = option([], "modules or files FILE.py that register losses, mask rules, ...: docs/extending.md")
    samples: str | None = option(None, "file of somebody's samples (JSONL) that a benchmark scores")
    against: str | None = option(None, "folder of scores to compare with, task by task")
    paths: PathsConfig = field(default_factory=PathsConfig)
    problems: ProblemsConfig = field(default_factory=ProblemsConfig)
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    debug: DebugConfig = field(default_factory=DebugConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    convert: ConvertConfig = field(default_factory=ConvertConfig)


# What each command reads: an override of another section would have no effect there, and so is refused.
_PAIRS = ("seed", "plugins", "paths", "problems", "generate", "executor", "sandbox", "debug", "pairs")
_DATA = (*_PAIRS, "mask", "model", "data")
SECTIONS = {
    "prepare": _DATA,
    "train": (*_DATA, "name", "reference", "ops", "resume", "plan", "loss", "optim", "trainer", "logger", "sweep", "evaluate", "report"),
    "export": (*_PAIRS, "model", "export"),
    "evaluate": ("seed", "plugins", "paths", "executor", "sandbox", "model", "generate", "trainer", "evaluate", "ops", "benchmark", "samples", "against"),
    "report": ("paths", "report"),
    "convert": ("paths", "convert"),
}  # fmt: skip


def schema_keys(node: Any = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All `(dotted key, dataclass field)` of the schema, sections included."""
    for item in fields(node):
        yield prefix + item.name, item
        factory = item.default_factory
        if factory is not MISSING and is_dataclass(factory):
            yield from schema_keys(factory, f"{prefix}{item.name}.")


def to_dict(config: Any) -> dict[str, Any]:
    """The config as plain Python types: what goes into YAML, wandb and hyperparameters."""
    return asdict(config)
