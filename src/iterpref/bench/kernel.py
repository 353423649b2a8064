"""How fast is the log-ratio from logits, against eager torch, torch.compile, and the bytes that must move?

    python -m iterpref.bench.kernel [--out FILE.json] [--rounds N]

For each shape and density of loss rows: forward, and forward with backward, median over many rounds in which the
contenders take turns; the peak memory beyond the logits; the largest error of the log-ratio against fp64.

    eager     the definition, on all rows, then masked
    compile   the same under torch.compile
    triton    our kernels
    torch     our backend for machines without Triton: live rows only, in chunks

In a round `torch` comes last, for it alone waits for the GPU; the others are queued behind running work, as in a
training step, so that what is timed is the GPU and not Python.

Our two write the gradient into the logits, the other two into memory of their own. So the logits of every later round
are gradients of an earlier one; no contender's time depends on their values, and nothing is cloned inside the timing.

floor = bytes / copy bandwidth, the bandwidth measured here, by copying. Bytes: live rows of both models' logits read
once; with backward, live rows of the policy's read once more and a gradient written for every row, zeros included.
A kernel that mostly reads can be faster than a copy, hence a little faster than its floor.

Shapes: R rows of logits, V vocabulary.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from iterpref.errors import UserError
from iterpref.ops import TokenLogRatio, token_logratio, token_logratio_definition

SHAPES = ((4096, 49_152), (8192, 151_936))
DENSITIES = (1.0, 0.5, 0.1)
DTYPE = torch.bfloat16
WARMUP_ROUNDS = 5
CHECKED_ROWS = 64

Contender = Callable[[Tensor], TokenLogRatio]
Timed = Callable[[], object]


@dataclass(frozen=True)
class Result:
    rows: int
    vocabulary: int
    density: float
    contender: str
    forward_ms: float
    forward_floor_ms: float
    both_ms: float
    both_floor_ms: float
    extra_gib: float  # peak memory of forward and backward, beyond the two models' logits
    max_error: float  # of the log-ratio against fp64, over the checked rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m iterpref.bench.kernel", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--rounds", type=int, default=50, help="timed rounds of each contender (default 50)")
    options = parser.parse_args(arguments)
    try:
        run(options.out, options.rounds)
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


def run(out: Path | None, rounds: int) -> list[Result]:
    """Measures every shape and density, prints a table, writes `out`. Raises `UserError` without a GPU."""
    if not torch.cuda.is_available():
        raise UserError(
            "The kernel benchmark needs a CUDA GPU, and torch sees none here: run it on a machine with one."
        )
    if rounds < 1:
        raise UserError(f"--rounds {rounds}: expected at least 1")
    bandwidth = copy_bandwidth(rounds)
    results = [r for shape in SHAPES for density in DENSITIES for r in measure(*shape, density, bandwidth, rounds)]
    device = torch.cuda.get_device_name()
    show(results, f"{device}, copy bandwidth {bandwidth / 1e9:,.0f} GB/s, {DTYPE}, median of {rounds}")
    if out is not None:
        record = {
            "device": device,
            "torch": torch.__version__,
            "triton": _triton_version(),
            "dtype": str(DTYPE),
            "rounds": rounds,
            "copy_bandwidth_bytes_per_s": bandwidth,
            "results": [asdict(r) for r in results],
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=2) + "\n")
    return results


def copy_bandwidth(rounds: int) -> float:
    """Bytes read plus bytes written per second, of copying 2 GiB."""
    source = torch.zeros(2**31, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    (milliseconds,) = median_times([lambda: target.copy_(source)], rounds)
    return 2 * source.numel() / (milliseconds * 1e-3)


def measure(R: int, V: int, density: float, bandwidth: float, rounds: int) -> list[Result]:
    """All contenders on one shape and density."""
    generator = torch.Generator("cuda").manual_seed(0)

    def logits() -> Tensor:
        return torch.empty(R, V, dtype=DTYPE, device="cuda").normal_(0, 3, generator=generator)

    policy_RV, ref_RV = logits(), logits()
    mask_R = (torch.rand(R, generator=generator, device="cuda") < density).float()
    labels_R = torch.randint(V, (R,), generator=generator, device="cuda").where(mask_R != 0, -100)
    upstream_R = torch.rand(R, generator=generator, device="cuda") + 0.5
    policy_RV.requires_grad_()
    entrants = contenders(labels_R, mask_R, ref_RV)
    # Before anything is timed, for timing overwrites the logits.
    errors = {name: largest_error(entrant, policy_RV, labels_R, mask_R, ref_RV) for name, entrant in entrants.items()}

    def forward(entrant: Contender) -> Timed:
        return lambda: entrant(policy_RV)

    def both(entrant: Contender) -> Timed:
        return lambda: torch.autograd.grad(entrant(policy_RV).logratio_R, policy_RV, upstream_R)

    forward_ms = median_times([forward(e) for e in entrants.values()], rounds)
    both_ms = median_times([both(e) for e in entrants.values()], rounds)
    row_bytes = V * DTYPE.itemsize
    live_bytes = int(mask_R.sum().item()) * row_bytes
    forward_floor_ms = 2 * live_bytes / bandwidth * 1e3
    both_floor_ms = (3 * live_bytes + R * row_bytes) / bandwidth * 1e3
    return [
        Result(
            rows=R,
            vocabulary=V,
            density=density,
            contender=name,
            forward_ms=forward_ms[i],
            forward_floor_ms=forward_floor_ms,
            both_ms=both_ms[i],
            both_floor_ms=both_floor_ms,
            extra_gib=extra_memory(both(entrant)) / 2**30,
            max_error=errors[name],
        )
        for i, (name, entrant) in enumerate(entrants.items())
    ]


def contenders(labels_R: Tensor, mask_R: Tensor, ref_RV: Tensor) -> dict[str, Contender]:
    def ours(backend: str) -> Contender:
        return lambda policy_RV: token_logratio(policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, backend=backend)

    return {
        "eager": lambda policy_RV: token_logratio_definition(policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV),
        "compile": lambda policy_RV: _compiled()(policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV),
        "triton": ours("triton"),
        "torch": ours("torch"),
    }


@functools.cache
def _compiled() -> Callable[..., TokenLogRatio]:
    return torch.compile(token_logratio_definition, dynamic=False)


def largest_error(entrant: Contender, policy_RV: Tensor, labels_R: Tensor, mask_R: Tensor, ref_RV: Tensor) -> float:
    """max |logratio - fp64| over the first live rows."""
    rows = mask_R.nonzero()[:CHECKED_ROWS, 0]
    policy_LV = policy_RV.detach()[rows].double()
    exact = token_logratio_definition(policy_LV, labels_R[rows], mask_R[rows], ref_logits_RV=ref_RV[rows].double())
    return (entrant(policy_RV).logratio_R[rows].detach() - exact.logratio_R).abs().max().item()


def median_times(calls: Iterable[Timed], rounds: int) -> list[float]:
    """Median milliseconds of each call on the GPU; the calls take turns, so that a slow spell meets them all."""
    calls = list(calls)
    samples: list[list[tuple[torch.cuda.Event, torch.cuda.Event]]] = [[] for _ in calls]
    for turn in range(WARMUP_ROUNDS + rounds):
        for call, own in zip(calls, samples, strict=True):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            call()
            end.record()
            if turn >= WARMUP_ROUNDS:
                own.append((start, end))
    torch.cuda.synchronize()
    return [statistics.median(start.elapsed_time(end) for start, end in own) for own in samples]


def extra_memory(call: Timed) -> int:
    """Peak bytes that the call takes beyond what is held when it starts; its result counts."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - held


def show(results: list[Result], title: str) -> None:
    table = Table(title=title)
    for heading in ("R x V", "density", "contender"):
        table.add_column(heading)
    for heading in ("forward ms", "floor", "with backward ms", "floor", "extra GiB", "max error"):
        table.add_column(heading, justify="right")
    for r in results:
        table.add_row(
            f"{r.rows} x {r.vocabulary:,}",
            f"{r.density:g}",
            r.contender,
            f"{r.forward_ms:.3f}",
            f"{r.forward_floor_ms:.3f}",
            f"{r.both_ms:.3f}",
            f"{r.both_floor_ms:.3f}",
            f"{r.extra_gib:.3f}",
            f"{r.max_error:.1e}",
            end_section=r.contender == "torch",
        )
    Console().print(table)


def _triton_version() -> str:
    import triton

    return triton.__version__


if __name__ == "__main__":
    main()
