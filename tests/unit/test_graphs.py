"""What a graph is recorded of, run kernel by kernel: gradients land where graphs expect them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from iterpref.batch import Batch, Terms
from iterpref.data.collate import collate
from iterpref.losses import combine, pair_sums
from iterpref.models.graphs import StepGraphs, _Recorded, _shape
from iterpref.models.policy import score_rows


def steps(model: Any) -> Any:
    from iterpref.config import Config

    def step(batch: Batch) -> tuple[Tensor]:
        loss = combine(pair_sums(score_rows(model, batch, None, "torch"), batch), Config().loss, batch.step_pairs).loss
        loss.backward()
        return (loss.detach(),)

    return step


def test_the_first_pass_of_a_step_replaces_gradients_and_later_ones_add(tiny_model: Any, make_examples: Any) -> None:
    plain, model = tiny_model(), tiny_model()
    unused = torch.nn.Parameter(torch.ones(3))
    batches = [collate(make_examples(3, seed=s), packing="shared", pad_id=0, step_pairs=6) for s in range(3)]
    graphs = StepGraphs(steps(model), [*model.parameters(), unused], adds_up=True)
    places = [p.grad for p in model.parameters()]
    graphs(batches[2], begins=True)  # of an earlier step
    first = graphs(batches[0], begins=True)
    second = graphs(batches[1], begins=False)
    before = [p.grad.clone() for p in model.parameters()]
    graphs.run(batches[2], keep=False)
    losses = [steps(plain)(batch) for batch in batches[:2]]
    assert [first, second] == losses
    for p, wanted, place, kept in zip(model.parameters(), plain.parameters(), places, before, strict=True):
        assert p.grad is place
        assert torch.equal(p.grad, wanted.grad)
        assert torch.equal(p.grad, kept)
    assert torch.equal(unused.grad, torch.zeros(3))


def test_a_parameter_that_a_step_begins_without_keeps_nothing_of_the_step_before(make_examples: Any) -> None:
    used, sometimes = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    passes = iter([[used, sometimes], [used], [used, sometimes]])

    def step(batch: Batch) -> tuple[Tensor]:
        sum(p.sum() for p in next(passes)).backward()
        return ()

    graphs = StepGraphs(step, [used, sometimes], adds_up=True)
    batch = collate(make_examples(1), packing="shared", pad_id=0)
    for begins in (True, True, False):
        graphs(batch, begins)
    assert torch.equal(used.grad, torch.full((2,), 2.0))
    assert torch.equal(sometimes.grad, torch.ones(2))


def test_a_shape_is_recorded_when_it_comes_again_and_others_run_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iterpref.models.graphs._shape", lambda batch: batch.shape)
    monkeypatch.setattr("iterpref.models.graphs.MOST_GRAPHS", 2)
    done: list[str] = []

    def told(name: str) -> Any:
        return lambda graphs, *arguments: done.append(f"{name} {arguments[-1].shape}") or name

    for name in ("run", "_record", "_replay"):
        monkeypatch.setattr(StepGraphs, name, told(name.strip("_")))
    graphs = StepGraphs(lambda batch: (), [torch.nn.Parameter(torch.ones(1))], adds_up=True)
    for shape in "abaacbcc":
        graphs(SimpleNamespace(shape=shape, input_ids_ST=SimpleNamespace(device=SimpleNamespace(type="cuda"))), True)  # type: ignore[arg-type]
    assert done == [
        "run a", "run b", "record a", "replay a", "replay a", "run c", "record b", "replay b", "run c", "run c",
    ]  # fmt: skip


@pytest.mark.parametrize("adds_up", [True, False])
def test_gradients_that_a_validation_lets_go_of_are_back_with_the_next_replay(
    adds_up: bool, tiny_model: Any, make_examples: Any
) -> None:
    model = tiny_model()
    batch = collate(make_examples(3), packing="shared", pad_id=0, step_pairs=6)
    graphs = StepGraphs(steps(model), model.parameters(), adds_up)
    outputs = graphs.run(batch)
    gradients = [p.grad for p in model.parameters()]
    replayed = []
    graph: Any = SimpleNamespace(replay=lambda: replayed.append(True))
    recorded = _Recorded(graph, batch.clone(), outputs, [] if adds_up else gradients)
    model.zero_grad()
    assert graphs._replay(recorded, batch) is outputs
    assert replayed == [True]
    assert all(p.grad is gradient for p, gradient in zip(model.parameters(), gradients, strict=True))


def test_gradients_of_one_dtype_lie_side_by_side_and_begin_at_whole_blocks() -> None:
    sizes = [((3, 5), torch.float32), ((7,), torch.bfloat16), ((64,), torch.float32), ((2, 2), torch.bfloat16)]
    parameters = [torch.nn.Parameter(torch.ones(size, dtype=dtype)) for size, dtype in sizes]
    graphs = StepGraphs(lambda batch: (), parameters, adds_up=True)
    assert [(p.grad.shape, p.grad.dtype) for p in parameters] == [(torch.Size(s), d) for s, d in sizes]
    for first, second in ((parameters[0], parameters[2]), (parameters[1], parameters[3])):
        assert second.grad.data_ptr() - first.grad.data_ptr() == 256
    for number, p in enumerate(parameters):
        p.grad.fill_(number + 1)
    assert [float(p.grad.sum()) for p in parameters] == [15.0, 14.0, 192.0, 16.0]
    assert sorted(len(sums) for sums in graphs._sums) == [128, 256]


def test_a_step_of_one_pass_keeps_no_memory_for_gradients(tiny_model: Any, make_examples: Any) -> None:
    plain, model = tiny_model(), tiny_model()
    unused = torch.nn.Parameter(torch.ones(3))
    batches = [collate(make_examples(3, seed=s), packing="shared", pad_id=0) for s in range(2)]
    graphs = StepGraphs(steps(model), [*model.parameters(), unused], adds_up=False)
    assert all(p.grad is None for p in model.parameters())
    graphs.run(batches[1])
    graphs.run(batches[0])
    steps(plain)(batches[0])
    for p, wanted in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(p.grad, wanted.grad)
    assert unused.grad is None


def test_batches_share_a_graph_exactly_when_only_numbers_differ(make_examples: Any) -> None:
    def batch(seed: int = 0, pairs: int = 3, terms: Terms | None = None, step_pairs: int = 3) -> Batch:
        examples = make_examples(pairs, seed=seed)
        return collate(examples, packing="shared", pad_id=0, step_pairs=step_pairs, terms=terms, one_row=True, parts=16)

    one = _shape(batch())
    assert _shape(batch(seed=1)) == one
    filler = batch()
    filler.filler = True
    others = [batch(pairs=2), batch(terms=Terms(True, None)), batch(step_pairs=6), batch(pairs=40), filler]
    assert one not in [_shape(other) for other in others]
