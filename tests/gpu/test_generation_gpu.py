"""Answers on a GPU: what a recorded graph gives is what the model gives kernel by kernel."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from iterpref.models import recorded
from iterpref.models.decoding import GrowingRows, Stops, roll_out
from iterpref.models.sampling import GREEDY, Draw, Sampling

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SIZES = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 1024, "initializer_range": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(1.0, 0.9, 5)], ids=["greedy", "sampled"])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_recorded_rows_answer_as_growing_rows_do(
    family: str, sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    }[family]().cuda().eval()  # fmt: skip
    monkeypatch.setattr(recorded, "LENGTHS", 32)
    monkeypatch.setattr(recorded, "FEW", 8)
    draw = torch.Generator().manual_seed(1)
    prompts = [torch.randint(0, 512, (n,), generator=draw).tolist() for n in range(1, 60, 3)]

    def answers() -> dict[int, list[int]]:
        # Some dozens of the ids end an answer, so that rows leave one after another and the others move up.
        with torch.inference_mode():
            return dict(roll_out(model, prompts, 150, set(range(12)), Draw(sampling, range(20)), Stops(None)))

    assert recorded.is_recordable(model)
    replayed = answers()
    monkeypatch.setattr(
        "iterpref.models.decoding._rows", lambda model, prompts, n, draw, places: GrowingRows(model, prompts, draw)
    )
    grown = answers()
    # Sums in another order: a near tie may fall the other way, and the answer then goes another way.
    same = sum(replayed[i] == grown[i] for i in range(20))
    assert same >= 18
    assert len({len(row) for row in grown.values()}) > 5


def test_batches_that_share_places_and_graphs_answer_as_each_does_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "FEW", 8)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES)).cuda().eval()
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(0, 512, (n,), generator=generator).tolist() for n in range(60, 0, -1)]

    def answers(batch: list[list[int]], places: recorded.Places | None) -> list[list[int]]:
        with torch.inference_mode():
            found = dict(roll_out(model, batch, 150, set(range(12)), Draw(GREEDY, range(99)), Stops(None), places))
        return [found[i] for i in range(len(batch))]

    places = recorded.Places(model)
    counts = []
    for _ in range(2):
        for first in (0, 24, 48):  # 24, 24 and 12 rows, the longest first
            batch = prompts[first : first + 24]
            assert answers(batch, places) == answers(batch, None)
        counts.append(sum(graph is not None for graph in places._graphs.values()))
    assert counts[0] == counts[1] > 2  # the second time nothing is recorded
