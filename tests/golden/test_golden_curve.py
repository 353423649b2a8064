"""A fixed tiny run, step by step, as it was when it was checked in: model, op, loss, accumulation, schedule, optimizer.

24 pairs made from a seed below, the tiny model of seed 0, two epochs of Target-RPO in fp32 on one CPU thread, steps of 10, 10
and 4 pairs in micro-batches of 5, through Lightning's Trainer. Live and cached reference, padded and shared rows: four ways
to one curve.

    python tests/golden/test_golden_curve.py --write        after a change that is meant to move the curve

Tolerance. The same program on the same CPU repeats to the bit. Another CPU picks other vector kernels (AVX2, AVX-512, NEON), so
products are summed in another order and the initial normal draws differ in the last place: 1e-7 relative in a forward pass. Adam
divides a gradient by its own size, so that noise decides the sign of a step where a gradient is near zero; a rate of 1e-3 hands on
little of that. Measured when this was written: between the four ways, and between AVX2 kernels and none at all
(ATEN_CPU_CAPABILITY=default), loss and grad_norm differ by at most 2e-7 relative, the margin by 2e-7 absolute (it is a small
difference of sums of some hundred nats). 1e-4 is some hundred times that. A wrong mask, a lost micro-batch or a schedule
that is off by one step moves the curve by more than 1e-3.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch

from iterpref.config import Config
from iterpref.data.collate import collate
from iterpref.data.loader import PairLoader
from iterpref.data.reference_cache import attach, reference_stage
from iterpref.models.module import FocalDPOModule
from iterpref.models.optim import total_steps
from iterpref.models.policy import load_model
from iterpref.models.source import resolve_model
from iterpref.schema import Example
from iterpref.train import build_trainer

GOLDEN = Path(__file__).with_name("tiny_run.json")
COLUMNS = ("loss", "margin", "grad_norm")
PAIRS, EOS, VOCABULARY = 24, 1, 1024
Curve = dict[str, list[float]]


def golden_pairs() -> list[Example]:
    """Completions of 12 to 40 tokens, of which a middle part of up to 6 is other in y+ than in y-; some D- are empty."""
    rng = random.Random(20250305)

    def tokens(low: int, high: int) -> list[int]:
        return [rng.randrange(4, VOCABULARY) for _ in range(rng.randint(low, high))]

    pairs = []
    for i in range(PAIRS):
        prompt, head, right, wrong, tail = tokens(8, 20), tokens(0, 20), tokens(1, 6), tokens(0, 6), tokens(11, 13)
        sides = [
            ([*head, *middle, *tail, EOS], [*[0] * len(head), *[1] * len(middle), *[0] * (len(tail) + 1)])
            for middle in (right, wrong)
        ]
        (chosen, d_plus), (rejected, d_minus) = sides
        pairs.append(Example(
            f"golden/{i:02d}", "train", tuple(prompt), tuple(chosen), tuple(rejected),
            (1.0,) * len(chosen), tuple(map(float, d_minus)), tuple(d_plus), tuple(d_minus),
        ))  # fmt: skip
    return pairs


def golden_config(reference: str, packing: str) -> Config:
    """Every value that the curve depends on is written out: a new default must not move it."""
    config = Config(seed=0, reference=reference, ops="torch")
    model, loss, optim, trainer = config.model, config.loss, config.optim, config.trainer
    model.source, model.hidden, model.layers, model.dtype, model.attention = "tiny", 64, 2, "float32", "sdpa"
    loss.beta, loss.alpha, loss.nll, loss.preference = 0.1, 1.0, "mean", 1.0
    config.data.packing, config.data.global_batch, config.data.micro_batch = packing, 10, 5
    optim.lr, optim.weight_decay, optim.beta1, optim.beta2 = 1e-3, 0.01, 0.9, 0.999
    optim.schedule, optim.warmup_ratio, optim.clip_norm = "cosine", 0.2, 1.0
    trainer.epochs, trainer.accelerator, trainer.precision, trainer.deterministic = 2, "cpu", "32-true", True
    config.logger.wandb = "disabled"
    return config


def golden_run(folder: Path, reference: str, packing: str) -> Curve:
    config, examples = golden_config(reference, packing), golden_pairs()
    start = resolve_model(config.model, folder / "data", config.seed)
    twin = load_model(start, config.model) if reference == "live" else None
    if reference == "cached":
        cache = reference_stage(
            folder / "data", "golden", examples, lambda: load_model(start, config.model).eval(), micro_batch=5,
            make_batch=partial(collate, packing=packing, pad_id=0), backend="torch", autocast=nullcontext,
        )  # fmt: skip
        examples = attach(examples, cache)
    loader = PairLoader(
        examples, lambda e, step_pairs: collate(e, packing=packing, pad_id=0, step_pairs=step_pairs),
        global_batch=config.data.global_batch, micro_batch=config.data.micro_batch, seed=config.seed,
    )  # fmt: skip
    module = FocalDPOModule(config, load_model(start, config.model), twin, total_steps=total_steps(config, PAIRS))
    build_trainer(config, folder / "run", "cpu", PAIRS).fit(module, loader)
    with (folder / "run" / "metrics.csv").open(newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["train/loss"]]
    return {name: [float(row[f"train/{name}"]) for row in rows] for name in COLUMNS}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.mark.parametrize("packing", ["padded", "shared"])
@pytest.mark.parametrize("reference", ["live", "cached"])
def test_the_run_is_on_the_golden_curve(reference: str, packing: str, tmp_path: Path) -> None:
    found, wanted = golden_run(tmp_path, reference, packing), json.loads(GOLDEN.read_text())
    for name in COLUMNS:
        assert found[name] == pytest.approx(wanted[name], rel=1e-4, abs=1e-6), name


def test_the_same_run_twice_is_the_same_to_the_bit(tmp_path: Path) -> None:
    assert golden_run(tmp_path / "a", "live", "shared") == golden_run(tmp_path / "b", "live", "shared")


def test_the_curve_begins_at_a_tie_and_learns() -> None:
    curve = json.loads(GOLDEN.read_text())
    assert {len(values) for values in curve.values()} == {6}
    # The start policy is its own reference: margin 0, loss log 2 + NLL, and the NLL of 1,024 nearly equal tokens is log 1024.
    assert curve["margin"][0] == pytest.approx(0, abs=1e-5)
    assert curve["loss"][0] == pytest.approx(0.6931 + 6.9315, rel=0.02)
    assert curve["loss"][-1] < curve["loss"][0] - 0.1
    assert curve["margin"][-1] > 0


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        GOLDEN.write_text(json.dumps(golden_run(Path(place), "live", "padded"), indent=1) + "\n")
    print(f"wrote {GOLDEN.name}")
