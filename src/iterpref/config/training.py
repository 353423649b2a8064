"""Schema of the training: masks, loss, batches, optimizer, devices and logs."""

from __future__ import annotations

from dataclasses import dataclass

from iterpref.config.option import option
from iterpref.registry import LINKS, MASKS


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


ZERO = {"deepspeed_2": 2, "deepspeed_3": 3}  # strategies, and the stage of ZeRO


@dataclass
class TrainerConfig:
    epochs: int = option(3, "passes over the training pairs (paper: 3)", low=1)
    max_steps: int | None = option(None, "stop after so many optimizer steps", low=1)
    accelerator: str = option("auto", "device kind", choices=("auto", "cpu", "gpu", "mps"))
    devices: int = option(1, "devices on this host", low=1)
    nodes: int = option(1, "hosts, each with so many devices; torchrun starts the processes", low=1)
    strategy: str = option(
        "auto", "several devices: ddp, a copy on each; fsdp2 and deepspeed_3, shards of weights, gradients and optimizer; "
        "deepspeed_2, of gradients and optimizer alone; auto: ddp",
        choices=("auto", "ddp", "fsdp2", *ZERO),
    )  # fmt: skip
    timeout_s: float = option(1800.0, "longest wait of a device for the others, seconds", above=0)
    precision: str = option("auto", "arithmetic; auto: bf16-mixed where the device computes in bf16, else 32-true",
                            choices=("auto", "32-true", "bf16-mixed", "bf16-true"))  # fmt: skip
    deterministic: bool = option(False, "two runs with one seed are equal to the bit; slower on a GPU")
    compile: str = option(
        "none", "layers: torch.compile of each decoder layer, half a minute once; graphs: and a CUDA graph of the whole pass for "
        "each shape of a batch; replay: the graph alone, of fewer lengths, for small models and short runs; none: as it is",
        choices=("none", "layers", "graphs", "replay"),
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


def world_size(config: TrainerConfig) -> int:
    """Processes of the whole job, one a device."""
    return config.devices * config.nodes


def compiles(config: TrainerConfig) -> bool:
    return config.compile in ("layers", "graphs")


def replays(config: TrainerConfig) -> bool:
    """Whether a pass is a CUDA graph."""
    return config.compile in ("graphs", "replay")


def sharded(config: TrainerConfig) -> bool:
    """Whether each device holds a part alone of gradients and optimizer, and perhaps of the weights."""
    return config.strategy in ("fsdp2", *ZERO)


def zero_stage(config: TrainerConfig) -> int:
    """What DeepSpeed's ZeRO shares out: 2, gradients and optimizer; 3, weights as well; 0: it has no part in this."""
    return ZERO.get(config.strategy, 0)
