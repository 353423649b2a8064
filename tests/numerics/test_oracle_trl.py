"""An oracle: on the same tiny model, batch and masks our losses and gradients are those of TRL's DPOTrainer, whose collator edits
the `completion_mask`. The rows are TRL's own tokens; nothing reaches for a hub or a network.
"""

from __future__ import annotations

import copy
import importlib.util
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from iterpref.config import LossConfig, ModelConfig
from iterpref.data.collate import collate
from iterpref.losses import combine, pair_sums
from iterpref.models.policy import load_model, load_tokenizer, scored_logits
from iterpref.models.source import resolve_model
from iterpref.ops import token_logratio
from iterpref.schema import Example

pytestmark = pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="TRL is not installed: `make setup`")

Rows = list[dict[str, Any]]
Masks = list[tuple[list[int], list[int]]]  # of y+ and y-, one for each row
TOLERANCE = 1e-5

TEXTS = [
    ("Add two numbers.\n", "def add(a, b):\n    return a + b\n", "def add(a, b):\n    return a - b\n"),
    ("Is n even?\n", "def even(n):\n    return n % 2 == 0\n", "def even(n):\n    n = abs(n)\n    return n % 2 == 1\n"),
    ("The last item, or None.\n", "def last(xs):\n    return xs[-1] if xs else None\n", "def last(xs):\n    return xs[-1]\n"),
    ("Say hello.\n", "print('hello')\n", "print('hello'\n"),
]  # fmt: skip


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resolve_model(ModelConfig(source="tiny", hidden=32, layers=2), tmp_path_factory.mktemp("model"), seed=0)


@pytest.fixture(scope="module")
def models(start: Path) -> tuple[Any, Any]:
    """(policy, reference): each moved from the start by noise of its own, so that margins lie on either side of zero."""
    torch.set_num_threads(1)
    policy, reference = (load_model(start, ModelConfig()).eval() for _ in range(2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (*policy.parameters(), *reference.parameters()):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return policy, reference


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: Any) -> None:
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return


Oracle = Callable[..., Any]


@pytest.fixture
def trainer(start: Path, models: tuple[Any, Any], tmp_path: Path) -> Oracle:
    """`trainer(**options)`: a DPOTrainer of copies of both models on the texts, with these options of its config."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    def build(**options: Any) -> Any:
        policy, reference = (copy.deepcopy(model) for model in models)
        columns = dict(zip(("prompt", "chosen", "rejected"), map(list, zip(*TEXTS, strict=True)), strict=True))
        arguments = DPOConfig(
            output_dir=str(tmp_path), report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False,
            max_length=None, disable_tqdm=True, **options,
        )  # fmt: skip
        return DPOTrainer(
            model=policy, ref_model=reference, args=arguments, processing_class=load_tokenizer(start),
            train_dataset=Dataset.from_dict(columns),
        )  # fmt: skip

    return build


def theirs(trainer: Any, rows: Rows, masks: Masks) -> tuple[float, dict[str, Tensor]]:
    """TRL's loss and gradients, with our masks put into the `completion_mask` of its collator's batch."""
    batch = trainer.data_collator(rows)
    P = len(rows)
    assert batch["completion_mask"].shape[0] == 2 * P
    for p, (row, sides) in enumerate(zip(rows, masks, strict=True)):
        for line, mask in zip((p, p + P), sides, strict=True):
            begin = len(row["prompt_ids"])
            assert batch["completion_mask"][line].sum() == len(mask), "the whole completion, and nothing else"
            batch["completion_mask"][line, begin : begin + len(mask)] = torch.tensor(mask)
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in trainer.model.named_parameters()}


def ours(
    models: tuple[Any, Any], rows: Rows, masks: Masks, config: LossConfig, packing: str
) -> tuple[float, dict[str, Tensor]]:
    policy, reference = copy.deepcopy(models[0]), models[1]
    examples = [
        Example(
            str(p), "train", tuple(row["prompt_ids"]), tuple(row["chosen_ids"]), tuple(row["rejected_ids"]),
            tuple(map(float, plus)), tuple(map(float, minus)), tuple(plus), tuple(minus),
        )
        for p, (row, (plus, minus)) in enumerate(zip(rows, masks, strict=True))
    ]  # fmt: skip
    batch = collate(examples, packing=packing, pad_id=0)
    with torch.no_grad():
        frozen_RV = scored_logits(reference, batch)
    every_R = torch.ones_like(batch.labels_R, dtype=torch.bool)
    ratios = token_logratio(scored_logits(policy, batch), batch.labels_R, every_R, ref_logits_RV=frozen_RV)
    loss = combine(pair_sums(ratios, batch), config, batch.step_pairs).loss
    loss.backward()
    return loss.item(), {name: p.grad for name, p in policy.named_parameters()}


def drawn_masks(rows: Rows, chosen: str) -> Masks:
    """Random tokens of y-, none of them in the last pair, whose D- is empty; all of y+ (`full`), or random tokens too."""
    rng = random.Random(3)

    def some(ids: list[int]) -> list[int]:
        return [1, *(int(rng.random() < 0.4) for _ in ids[1:-1]), 0]

    masks = [
        ([1] * len(r["chosen_ids"]) if chosen == "full" else some(r["chosen_ids"]), some(r["rejected_ids"]))
        for r in rows
    ]
    masks[-1] = (masks[-1][0], [0] * len(rows[-1]["rejected_ids"]))
    return masks


def assert_equal(found: tuple[float, dict[str, Tensor]], wanted: tuple[float, dict[str, Tensor]]) -> None:
    assert found[0] == pytest.approx(wanted[0], rel=TOLERANCE)
    assert found[1].keys() == wanted[1].keys()
    for name, gradient in wanted[1].items():
        largest = gradient.abs().max().item()
        assert largest > 0, name
        torch.testing.assert_close(found[1][name], gradient, rtol=TOLERANCE, atol=TOLERANCE * largest, msg=name)


@pytest.mark.parametrize("packing", ["padded", "shared"])
@pytest.mark.parametrize("chosen", ["full", "focal"])
@pytest.mark.parametrize(
    ("loss_type", "config"),
    [
        ("sigmoid", LossConfig(alpha=0, beta=0.1)),
        # At this beta some pairs are beyond the corner and some are not.
        ("hinge", LossConfig(alpha=0, beta=0.3, link="hinge")),
        # What TRL names ipo compares means over the masks; the paper's own equation is that of sums.
        ("ipo", LossConfig(alpha=0, beta=0.5, link="ipo", length_normalised=True)),
        ("sigmoid_norm", LossConfig(alpha=0, beta=0.5, length_normalised=True)),
    ],
)
def test_a_link_on_edited_masks_is_the_loss_of_that_name(
    loss_type: str, config: LossConfig, chosen: str, packing: str, trainer: Oracle, models: Any
) -> None:
    oracle = trainer(loss_type=[loss_type], beta=config.beta)
    rows = list(oracle.train_dataset)
    masks = drawn_masks(rows, chosen)
    assert_equal(ours(models, rows, masks, config, packing), theirs(oracle, rows, masks))


@pytest.mark.parametrize("packing", ["padded", "shared"])
def test_target_rpo_is_sigmoid_and_sft_with_the_weight_of_a_mean_over_tokens(
    packing: str, trainer: Oracle, models: Any
) -> None:
    """TRL's sft is a mean over all tokens of the batch: N / P times smaller than the sum over y+, averaged over P pairs."""
    alpha, oracle = 0.7, trainer(loss_type=["sigmoid", "sft"], beta=0.1, loss_weights=[1.0, 1.0])
    rows = list(oracle.train_dataset)
    masks = drawn_masks(rows, "full")
    tokens = sum(len(row["chosen_ids"]) for row in rows)
    oracle.loss_weights = [1.5, alpha * tokens / len(rows)]
    config = LossConfig(alpha=alpha, nll="sum", preference=1.5)
    assert_equal(ours(models, rows, masks, config, packing), theirs(oracle, rows, masks))


def test_for_a_single_pair_the_mean_nll_is_sft_itself(trainer: Oracle, models: Any) -> None:
    oracle = trainer(loss_type=["sigmoid", "sft"], beta=0.1, loss_weights=[1.0, 0.7])
    for row in oracle.train_dataset:
        masks = [([1] * len(row["chosen_ids"]), [0, 1] + [0] * (len(row["rejected_ids"]) - 2))]
        found = ours(models, [row], masks, LossConfig(alpha=0.7, nll="mean"), "shared")
        assert_equal(found, theirs(oracle, [row], masks))


def test_fine_tuning_on_either_side_is_sft_alone(trainer: Oracle, models: Any) -> None:
    oracle = trainer(loss_type=["sft"], beta=0.1)
    rows = list(oracle.train_dataset)
    for side, other in (("chosen", "rejected"), ("rejected", "chosen")):
        # TRL knows only y+, so y- takes its place.
        turned = [{**row, "chosen_ids": row[f"{side}_ids"], "rejected_ids": row[f"{other}_ids"]} for row in rows]
        masks, swapped = (
            [([1] * len(r["chosen_ids"]), [1] * len(r["rejected_ids"])) for r in pairs] for pairs in (rows, turned)
        )
        tokens = sum(len(row[f"{side}_ids"]) for row in rows)
        config = LossConfig(preference=0, alpha=len(rows) / tokens, nll="sum", nll_side=side)
        assert_equal(ours(models, rows, masks, config, "padded"), theirs(oracle, turned, swapped))


def test_label_smoothing_is_the_loss_with_sides_exchanged_that_often(trainer: Oracle, models: Any) -> None:
    """TRL has no conservative DPO of its own: (1 - e) times its loss, and e times that of the pairs turned around."""
    e, oracle = 0.2, trainer(loss_type=["sigmoid"], beta=0.1)
    rows = list(oracle.train_dataset)
    masks = drawn_masks(rows, "full")
    turned = [{**r, "chosen_ids": r["rejected_ids"], "rejected_ids": r["chosen_ids"]} for r in rows]
    there, back = theirs(oracle, rows, masks), theirs(oracle, turned, [(minus, plus) for plus, minus in masks])
    mixed = {name: (1 - e) * g + e * back[1][name] for name, g in there[1].items()}
    found = ours(models, rows, masks, LossConfig(alpha=0, label_smoothing=e), "shared")
    assert_equal(found, ((1 - e) * there[0] + e * back[0], mixed))
