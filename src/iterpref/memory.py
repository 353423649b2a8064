"""What a step holds in a device's memory, before any of it is there: `python -m iterpref.train plan=true`.

    weights      bytes of a parameter, and of an adapter's in fp32
    gradients    as the weights that train
    optimizer    two averages of each of these (AdamW); with DeepSpeed, whose gradients are fp32, and the weights in fp32
    reference    a second copy of the weights (reference=live), else nothing; whole on each device with DeepSpeed
    lowered      the copy in bf16 that autocast keeps of fp32 weights (precision bf16-mixed)
    buffers      DeepSpeed's, as measured: 9 to 14 GiB at 1.5B and 7B (docs/scaling.md)
    activations  of the tokens of one pass, layer by layer: what backward reads (below)
    scores       logits of the scored rows and their gradient, a chunk of them, or all where they are kept

With H hidden, I intermediate (of all experts that a token meets), A query heads of size D, K key heads, in the dtype of the arithmetic (b bytes), a layer keeps for
each token

    b (6 H + 2 A D + 2 K D + 4 I)      two norms with their fp32 input counted as one, queries, keys, values, output, residuals;
                                       gate, up, their activation and product
    b H                                 with model.gradient_checkpointing: its input alone, and once more one layer's whole

and with trainer.compile seven tenths of it (policy.KEPT). Dense masks and scores of attention (`eager`) are not in it. Fragments
of the allocator are not either: a plan within a tenth of the device is told as tight.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterpref.config import Config
from iterpref.config.training import compiles, sharded, world_size, zero_stage
from iterpref.errors import UserError
from iterpref.experts import in_experts, is_mixture, share_of_experts

GIB = 2**30
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_NF4 = 0.53  # bytes of a parameter with its scales
_ZERO_BUFFERS = 12 * GIB  # at most
_TIGHT = 0.9


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder."""

    parameters: int
    matrices: int  # parameters of the linear layers and experts, head left out
    active: int | None  # those of them that a token meets; None: the config of a mixture of experts does not say
    layers: int
    hidden: int
    intermediate: int  # of all experts that a token meets
    query: int  # heads times their size
    key: int
    vocabulary: int
    adapters_per_rank: int  # parameters of adapters of rank 1 on all linear layers, which adapters stand on


@dataclass(frozen=True)
class Plan:
    """Bytes on one device, by what they are for."""

    parts: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())


def shape_of(settings: Any) -> Shape:
    """From a transformers config, on the meta device: no weight is made. Raises `UserError` for a model of another build."""
    import torch
    from torch import nn
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM

    absent = [n for n in ("num_hidden_layers", "num_attention_heads", "intermediate_size") if not hasattr(settings, n)]
    if type(settings) not in MODEL_FOR_CAUSAL_LM_MAPPING or absent:
        why = f"its config has no {absent[0]}" if absent else "transformers has no causal language model of that kind"
        raise UserError(f"plan=true has no arithmetic for a {settings.model_type}: {why}")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(settings)
    head = model.get_output_embeddings()
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
    dense, experts = sum(m.weight.numel() for m in linear), 0
    if is_mixture(settings):
        experts = in_experts(model.named_parameters())
        dense = sum(m.weight.numel() for n, m in model.named_modules() if m in linear and "experts" not in n.split("."))
    share = share_of_experts(settings) if is_mixture(settings) else 1.0
    active = None if share is None else dense + round(share * experts)
    heads = settings.num_attention_heads
    size = getattr(settings, "head_dim", None) or settings.hidden_size // heads
    layers, hidden = settings.num_hidden_layers, settings.hidden_size
    query, key = heads * size, (getattr(settings, "num_key_value_heads", None) or heads) * size
    intermediate = settings.intermediate_size
    if experts and active is not None:  # what is no attention is gate, up and down
        intermediate = (active - layers * hidden * 2 * (query + key)) // (3 * layers * hidden)
    return Shape(
        parameters=sum(p.numel() for p in model.parameters()), matrices=dense + experts, active=active,
        layers=layers, hidden=hidden, intermediate=intermediate, query=query, key=key, vocabulary=settings.vocab_size,
        adapters_per_rank=sum(m.in_features + m.out_features for m in linear),
    )  # fmt: skip


def plan(config: Config, shape: Shape, tokens: int, rows: int, precision: str) -> Plan:
    """Bytes on each device for a pass of so many tokens, of which so many rows are scored.

    Args:
        precision: `trainer.precision`, resolved.
    """
    from iterpref.models.policy import KEPT
    from iterpref.ops.linear import KEEP_BYTES
    from iterpref.ops.products import CHUNK_BYTES

    model, trainer = config.model, config.trainer
    shards = world_size(trainer) if sharded(trainer) else 1
    own = _NF4 if model.quantization == "nf4" else _BYTES[model.dtype]
    adapters = model.lora.rank * shape.adapters_per_rank
    trained = 4 * adapters if adapters else own * shape.parameters
    zero = zero_stage(trainer) if shards > 1 else 0
    holders = 1 if zero == 2 else shards  # devices that hold a part each of the weights
    if zero:  # the trained weights again in fp32, as gradients and averages are
        trained = 4 * (adapters or shape.parameters)
    width = 4 if precision == "32-true" and model.dtype == "float32" else 2
    layer: float = width * (6 * shape.hidden + 2 * shape.query + 2 * shape.key + 4 * shape.intermediate)
    layer *= KEPT if compiles(trainer) else 1
    kept = shape.layers * layer
    if model.gradient_checkpointing:
        kept = shape.layers * width * shape.hidden + layer
    logits = rows * shape.vocabulary * width
    head_trains = not adapters
    parts = {
        "weights": (own * shape.parameters + 4 * adapters) / holders,
        "gradients": trained / shards,
        "optimizer": (3 if zero else 2) * trained / shards,
        "reference": own * shape.parameters / (1 if zero else shards) if config.reference == "live" else 0,
        "lowered": 2 * shape.parameters if precision == "bf16-mixed" and model.dtype == "float32" else 0,
        "gathered": _gathered(shape, own) if holders > 1 else 0,
        "buffers": min(8 * (adapters or shape.parameters), _ZERO_BUFFERS) if zero else 0,
        "activations": tokens * kept,
        "scores": logits if head_trains and logits <= KEEP_BYTES["cuda"] else min(logits, CHUNK_BYTES["cuda"]),
    }
    return Plan(parts)


def _gathered(shape: Shape, own: float) -> float:
    """Two layers whole (one is fetched while the other works), and embedding and head."""
    outside = shape.parameters - shape.matrices
    return own * (2 * shape.matrices / shape.layers + outside)


def pass_sizes(config: Config, pair_tokens: int, packing: str) -> tuple[int, int]:
    """(tokens that run, tokens that are scored) of a pass over pairs whose sequences have so many tokens, the prompt a third of
    them, with no common code."""
    prompt = pair_tokens // 3
    completion = pair_tokens - prompt
    tokens = prompt + 2 * completion if packing == "shared" else 2 * pair_tokens
    return config.data.micro_batch * tokens, config.data.micro_batch * 2 * completion


def describe(config: Config, shape: Shape, precision: str, devices: list[tuple[str, int]]) -> str:
    """The plan as lines: parts for the longest pairs that the limits allow, sums by packing and length, how long it takes, whether it fits.

    Args:
        devices: (name, bytes) of each.
    """
    from iterpref.pace import describe_pace

    longest = config.data.max_prompt_tokens + config.data.max_completion_tokens
    whole = plan(config, shape, *pass_sizes(config, longest, config.data.packing), precision)
    lines = [
        f"GiB on each of {world_size(config.trainer)} device(s), {config.data.micro_batch} pair(s) of {longest} tokens a pass, {config.data.packing}:"
    ]
    lines += [f"  {name:12} {size / GIB:8.2f}" for name, size in whole.parts.items() if size]
    lines.append(f"  {'sum':12} {whole.total / GIB:8.2f}")
    lengths = [n for n in (512, 1024, 2048, 4096) if n < longest] + [longest]
    lines.append(f"{'sums by packing and tokens of a sequence:':56} " + "".join(f"{n:>8}" for n in lengths))
    for packing in ("shared", "padded"):
        sums = [plan(config, shape, *pass_sizes(config, n, packing), precision).total / GIB for n in lengths]
        lines.append(f"  {packing:54} " + "".join(f"{total:8.1f}" for total in sums))
    lines += describe_pace(config, shape, lengths)
    if not devices:
        lines.append("no GPU here to compare it with")
    for name, size in devices:
        share = whole.total / size
        verdict = "fits" if share < _TIGHT else "is tight" if share < 1 else "does not fit"
        lines.append(f"{verdict}: {name} has {size / GIB:.1f}")
    if any(whole.total >= _TIGHT * size for _, size in devices):
        lines.append(advice(config))
    return "\n".join(lines)


def print_plan(config: Config) -> None:
    """`plan=true`: reads the model's config alone; no weight, no data."""
    import torch
    from transformers import AutoConfig

    from iterpref.devices import resolve_precision
    from iterpref.models.quiet import quiet_transformers
    from iterpref.models.source import resolve_model

    local = config.model.source != "pretrained"
    where = resolve_model(config.model, Path(config.paths.data), config.seed) if local else config.model.path
    try:
        with quiet_transformers():
            settings = AutoConfig.from_pretrained(str(where), revision=None if local else config.model.revision)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"model.path={where}: no config of a model there ({type(error).__name__}: {reason})") from None
    devices = [
        (torch.cuda.get_device_name(i), torch.cuda.get_device_properties(i).total_memory) for i in range(torch.cuda.device_count())
    ]  # fmt: skip
    # Without a GPU the plan is for one: it computes in bf16.
    known = bool(devices) or config.trainer.precision != "auto"
    precision = resolve_precision(config.trainer, torch.device("cuda")) if known else "bf16-mixed"
    print(describe(config, shape_of(settings), precision, devices))


def advice(config: Config) -> str:
    """Overrides that lower the memory of this configuration, the cheapest in time first."""
    model, data, trainer = config.model, config.data, config.trainer
    told = []
    if config.reference == "live":
        told.append("reference=cached (or adapter, with model.lora.rank) keeps no second model")
    if data.packing != "shared":
        told.append("data.packing=shared runs common prefixes once")
    if data.micro_batch > 1:
        told.append(f"data.micro_batch={data.micro_batch // 2} halves the activations")
    if model.dtype == "float32" and not model.lora.rank:
        told.append(
            "model.dtype=bfloat16 trainer.precision=bf16-true optim.rounding=stochastic halves weights, gradients and optimizer"
        )
    if not compiles(trainer):
        told.append("trainer.compile=layers keeps seven tenths of the activations")
    if not model.gradient_checkpointing:
        told.append("model.gradient_checkpointing=true keeps a layer's input alone, for a second forward")
    if not model.lora.rank:
        told.append("model.lora.rank=16 reference=adapter trains adapters alone")
    if world_size(trainer) > 1 and not sharded(trainer):
        told.append("trainer.strategy=fsdp2 shares weights, gradients and optimizer among the devices")
    told.append("data.max_completion_tokens and data.max_prompt_tokens drop the longest pairs")
    return "less memory: " + "; ".join(told)


@contextmanager
def memory_advice(config: Config) -> Iterator[None]:
    """Makes an error of a device without memory left a `UserError` that names overrides."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        first = ". ".join(str(error).split(". ")[:2])
        raise UserError(
            f"{first}; {advice(config)}; python -m iterpref.train plan=true shows what needs how much"
        ) from error
