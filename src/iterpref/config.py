"""The schema under every YAML: one dataclass a section, one sentence with its unit a field.

`configs/` holds values, this file holds what a value may be. `load` turns a composed Hydra config into a `Config`, or stops
with a `UserError` that names the override and the nearest valid one. Cross-field rules stand in `config_rules.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from iterpref.config_codeflow import DebugConfig, ProblemsConfig
from iterpref.config_evaluate import BenchmarkConfig, EvaluateConfig
from iterpref.config_generate import GenerateConfig
from iterpref.config_model import ConvertConfig, ModelConfig
from iterpref.config_option import option
from iterpref.config_pairs import PairsConfig
from iterpref.config_sweep import SweepConfig
from iterpref.errors import UserError
from iterpref.registry import LINKS, MASKS, Registry, import_plugins


@dataclass
class PathsConfig:
    data: str = option("data_cache", "folder of prepared stages and converted models; safe to share between runs")
    run: str = option("runs/latest", "folder of this run: logs, checkpoints, export, evaluation, report")


@dataclass
class SandboxConfig:
    name: str = option("embedded", "whose walls: our own fork server's, or bubblewrap's", choices=("embedded", "bwrap"))
    tier: str = option(
        "auto", "walls of sandbox=embedded; auto: the strongest that this machine gives, or an error",
        choices=("auto", "namespaces", "landlock", "plain"),
    )  # fmt: skip
    allow_unsafe: bool = option(
        False, "go on with tier plain where nothing better works: no walls around files and network"
    )
    workers: int | None = option(None, "runs at once, with executor=ray on each node; null: one a core", low=1)
    wall_s: float = option(
        10.0, "wall-clock limit of one run, seconds; waiting for a busy core is not counted", above=0
    )
    cpu_s: float = option(2.0, "CPU-time limit of one run, seconds", above=0)
    memory_mb: int = option(1024, "memory limit of one run, MB", low=64)
    output_kb: int = option(256, "cap on each of stdout and stderr, kB", low=1)
    disk_mb: int = option(64, "limit of all files that a run makes, MB", low=1)
    processes: int = option(32, "limit of processes and threads of one run, its own among them", low=1)


@dataclass
class MaskConfig:
    chosen: str = option("full", "tokens of y+ in K+", choices=MASKS)
    rejected: str = option("focal", "tokens of y- in K-", choices=MASKS)
    eos: bool = option(
        True, "count the end-of-sequence token with a full, fence or soft mask; focal and diff_aug never do"
    )
    context_min: int = option(1, "diff_aug: fewest lines of context on either side of a block of D", low=0)
    context_max: int = option(2, "diff_aug: most lines of context; the number is drawn once a pair", low=1)
    soft_weight: float = option(0.1, "soft: weight of the tokens outside D", low=0, high=1)
    full_share: float = option(
        0.0, "share of the pairs, drawn once, whose two masks are full instead (paper's Hybrid: 0.5)", low=0, high=1
    )


@dataclass
class LossConfig:
    link: str = option(
        "sigmoid", "preference term as a function of m = K+ - K-: -log sigmoid(beta m), relu(1 - beta m), (m - 1/(2 beta))^2",
        choices=LINKS,
    )  # fmt: skip
    beta: float = option(0.1, "inverse temperature of the preference term (paper: 0.1); tau of link=ipo", above=0)
    label_smoothing: float = option(
        0.0, "probability that a pair's label is wrong, for link=sigmoid (conservative DPO); below 0.5", low=0
    )
    length_normalised: bool = option(False, "K+ and K- as means over their masks' weights instead of sums")
    preference: float = option(1.0, "weight of the preference term; 0 with alpha > 0 is plain fine-tuning", low=0)
    alpha: float = option(1.0, "weight of the NLL (paper: 1; 0 is Target-DPO)", low=0)
    nll: str = option(
        "sum", "NLL as sum over tokens (paper's eq. 7) or their mean (public code)", choices=("sum", "mean")
    )
    nll_side: str = option("chosen", "whose NLL: y+, or y- (the paper's SFT on y-)", choices=("chosen", "rejected"))


@dataclass
class DataConfig:
    packing: str = option(
        "shared", "shared: pairs packed, a pair's common prefix runs once; padded: a row for each sequence; none: each "
        "sequence by itself; same loss", choices=("none", "padded", "shared"),
    )  # fmt: skip
    score: str = option(
        "loss", "tokens that a training step scores: those that the loss asks for, or all, which logs whole completions",
        choices=("loss", "all"),
    )  # fmt: skip
    global_batch: int = option(128, "pairs in one optimizer step over all devices (paper: 128)", low=1)
    micro_batch: int = option(
        4,
        "pairs in one forward pass on one device; with packing=shared on average, so that passes cost the same",
        low=1,
    )
    prefetch: int = option(2, "batches laid out ahead of the step; 0: none", low=0)
    max_prompt_tokens: int = option(
        1024, "a pair with a longer prompt is dropped and counted, tokens (paper: 1024)", low=1
    )
    max_completion_tokens: int = option(
        2048, "a longer y+ or y- is dropped or truncated (data.overlong), tokens, EOS included (paper: 2048)", low=1
    )
    overlong: str = option(
        "drop", "a pair with a longer y+ or y-; truncate: cut the end, and drop it only when a token of D+ or D- went",
        choices=("drop", "truncate"),
    )  # fmt: skip
    max_train_pairs: int | None = option(None, "use only so many training pairs", low=1)
    max_validation_pairs: int | None = option(None, "use only so many validation pairs", low=1)
    max_test_pairs: int | None = option(None, "use only so many held-out pairs in the evaluation", low=1)
    sample_seed: int | None = option(
        None,
        "seed of which pairs these are, so that runs of several seeds share pairs and reference log-probs; null: seed",
        low=0,
    )


@dataclass
class OptimConfig:
    lr: float = option(1e-5, "peak learning rate (paper: 1e-5 at 7B)", above=0)
    weight_decay: float = option(0.0, "AdamW weight decay", low=0)
    beta1: float = option(0.9, "AdamW beta 1", low=0, high=1)
    beta2: float = option(0.999, "AdamW beta 2", low=0, high=1)
    schedule: str = option("cosine", "learning rate after the warm-up", choices=("cosine", "constant"))
    warmup_ratio: float = option(0.03, "share of the steps that warm up linearly (paper: 0.03)", low=0, high=1)
    clip_norm: float = option(1.0, "largest norm of the gradient; 0: no clipping", low=0)
    rounding: str = option(
        "nearest", "of bf16 weights and their averages, whose small steps rounding to nearest loses; stochastic keeps them on average",
        choices=("nearest", "stochastic"),
    )  # fmt: skip


@dataclass
class TrainerConfig:
    epochs: int = option(3, "passes over the training pairs (paper: 3)", low=1)
    max_steps: int | None = option(None, "stop after so many optimizer steps", low=1)
    accelerator: str = option("auto", "device kind", choices=("auto", "cpu", "gpu", "mps"))
    devices: int = option(1, "devices on this host", low=1)
    nodes: int = option(1, "hosts, each with so many devices; torchrun starts the processes", low=1)
    strategy: str = option(
        "auto", "several devices: ddp, a copy on each; fsdp2 and deepspeed_3, shards of weights, gradients and optimizer; auto: ddp",
        choices=("auto", "ddp", "fsdp2", "deepspeed_3"),
    )  # fmt: skip
    timeout_s: float = option(1800.0, "longest wait of a device for the others, seconds", above=0)
    precision: str = option("auto", "arithmetic; auto: bf16-mixed where the device computes in bf16, else 32-true",
                            choices=("auto", "32-true", "bf16-mixed", "bf16-true"))  # fmt: skip
    deterministic: bool = option(False, "two runs with one seed are equal to the bit; slower on a GPU")
    compile: str = option(
        "none", "layers: torch.compile of each decoder layer, half a minute once; graphs: for each length of rows, and a CUDA "
        "graph of the whole pass; none: as it is", choices=("none", "layers", "graphs"),
    )  # fmt: skip
    validations_per_epoch: int = option(1, "validation passes in one epoch", low=1)
    checkpoints: bool = option(
        True, "store the last and the best state after each validation; a run of seconds is sooner trained anew"
    )
    profile: bool = option(False, "torch's profiler over the third to sixth step, into RUN/profile")
    check_finite: bool = option(
        False, "stop at the first loss, gradient or weight that is not finite and name it; slow"
    )
    log_every: int = option(1, "optimizer steps between two log lines", low=1)


@dataclass
class LoggerConfig:
    wandb: str = option(
        "auto", "auto: online when logged in, else offline", choices=("auto", "online", "offline", "disabled")
    )
    project: str = option("iterpref", "project in wandb, experiment in MLflow")
    group: str | None = option(None, "group of runs; null: the sweep's")
    tags: list[str] = option([], "tags; those of experiment and sweep are added")
    pairs: int = option(8, "validation pairs in wandb, token by token", low=0)
    artifacts: str = option(
        "reference", "data, model and evaluation in wandb: where they are, copies of them, or nothing",
        choices=("reference", "upload", "none"),
    )  # fmt: skip
    tensorboard: bool = option(False, "TensorBoard files in RUN/tensorboard")
    mlflow: str | None = option(None, "MLflow tracking URI: a server, or sqlite:///FILE; null: no MLflow")


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
    ops: str = option("auto", "log-ratio op: the Triton kernel, or torch", choices=("auto", "triton", "torch"))
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
    "train": (
        *_DATA,
        "name",
        "reference",
        "ops",
        "resume",
        "plan",
        "loss",
        "optim",
        "trainer",
        "logger",
        "sweep",
        "evaluate",
        "report",
    ),
    "export": (*_PAIRS, "model", "export"),
    "evaluate": (
        "seed",
        "plugins",
        "paths",
        "executor",
        "sandbox",
        "model",
        "generate",
        "trainer",
        "evaluate",
        "ops",
        "benchmark",
        "samples",
        "against",
    ),
    "report": ("paths", "report"),
    "convert": ("paths", "convert"),
}


def schema_keys(node: Any = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All `(dotted key, dataclass field)` of the schema, sections included."""
    for item in fields(node):
        yield prefix + item.name, item
        factory = item.default_factory
        if factory is not MISSING and is_dataclass(factory):
            yield from schema_keys(factory, f"{prefix}{item.name}.")


def nearest(word: str, choices: Iterable[str]) -> str:
    """`"; did you mean 'x'?"`, or an empty string when nothing is near."""
    close = difflib.get_close_matches(word, list(choices), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def unknown_key(key: str, groups: Iterable[str] = ()) -> UserError:
    """The error for a key that the schema lacks; its own name elsewhere, else the nearest in its section, then anywhere."""
    keys = [*(k for k, _ in schema_keys()), *groups]
    section, _, leaf = key.rpartition(".")
    own = {k.rpartition(".")[2]: k for k in keys if k.rpartition(".")[0] == section}
    every = {k.rpartition(".")[2]: k for k in reversed(keys)}  # of equal names the first one stays
    same = {name: key for name, key in every.items() if name == leaf}
    for names in (same, own, every):
        if close := difflib.get_close_matches(leaf, names, n=1):
            return UserError(f"unknown option '{key}'; did you mean '{names[close[0]]}'?")
    hint = f"; the options of {section} are {', '.join(own)}" if section and own else nearest(key, keys)
    return UserError(f"unknown option '{key}'{hint}")


def load(composed: DictConfig) -> Config:
    """Checks a composed config against the schema and the rules; raises `UserError` before any work is done."""
    from iterpref.config_rules import check_rules

    try:
        plain = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key} cannot be worked out: {str(error).splitlines()[0]}") from None
    assert isinstance(plain, dict)
    known = dict(schema_keys())
    for key in _leaf_keys(plain):
        if key not in known:
            raise unknown_key(key)
        if _dig(plain, key) == "???":
            raise UserError(f"{key} has no value yet: give {key}=VALUE")
    for key, item in known.items():
        if is_dataclass(item.default_factory) and not isinstance(_dig(plain, key), dict):
            raise UserError(f"{key}={_dig(plain, key)}: a section of options was expected; give {key}.OPTION=VALUE")
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), plain))
    except OmegaConfBaseException as error:
        key = str(error.full_key).partition("[")[0]
        raise UserError(f"{key}={_dig(plain, key)!r} has the wrong type: {known[key].type} was expected") from None
    assert isinstance(config, Config)
    import_plugins(config.plugins)
    _check_ranges(config)
    check_rules(config)
    return config


def _leaf_keys(node: dict[Any, Any], prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _leaf_keys(value, key + ".")
        yield key


def _dig(node: Any, key: str) -> Any:
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _check_ranges(config: Config) -> None:
    for key, item in schema_keys():
        value: Any = config
        for part in key.split("."):
            value = getattr(value, part)
        rule = item.metadata
        if value is None or not rule:
            continue
        if rule["choices"] and value not in rule["choices"]:
            hint = nearest(str(value), rule["choices"])
            if not hint and isinstance(rule["choices"], Registry):
                hint = "; one of your own is known once its file is imported: plugins=[FILE.py]"
            raise UserError(f"{key}={value} is none of {', '.join(rule['choices'])}{hint}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low, high, above = rule["low"], rule["high"], rule["above"]
            # Written so that NaN fails too.
            inside = (
                (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)
            )
            if not inside or value in (float("inf"), float("-inf")):
                bounds = [f"at least {low}"] * (low is not None) + [f"above {above}"] * (above is not None)
                bounds += [f"at most {high}"] * (high is not None)
                raise UserError(f"{key}={value} is out of range: {' and '.join([*bounds, 'finite'])} was expected")


def to_dict(config: Any) -> dict[str, Any]:
    """The config as plain Python types: what goes into YAML, wandb and hyperparameters."""
    from dataclasses import asdict

    return asdict(config)
