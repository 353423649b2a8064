"""The reference as a column: the same numbers as the live model, once, and resumable."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from iterpref.artifacts import find
from iterpref.config import Config
from iterpref.data import reference_cache
from iterpref.data.collate import collate
from iterpref.data.reference_cache import ReferenceLogps, attach, batch_logps, reference_key, reference_stage
from iterpref.models.module import FocalDPOModule, Meter
from iterpref.schema import Example

ARITHMETIC = {"backend": "torch", "autocast": nullcontext}


def layout(packing: str) -> Any:
    return partial(collate, packing=packing, pad_id=0)


def stage(folder: Path, examples: list[Example], model: Any, packing: str = "padded", key: str = "k") -> Any:
    return reference_stage(
        folder, key, examples, lambda: model, make_batch=layout(packing), micro_batch=2, **ARITHMETIC
    )


@pytest.mark.parametrize("packing", ["padded", "shared"])
def test_each_token_has_the_log_prob_of_its_plain_sequence(packing: str, tiny_model: Any, make_examples: Any) -> None:
    model, examples = tiny_model().eval(), make_examples(5)
    for example, row in zip(
        examples, batch_logps(model, examples, make_batch=layout(packing), **ARITHMETIC), strict=True
    ):
        assert row.pair_id == example.pair_id
        for ids, column in ((example.chosen_ids, row.chosen_ref_logps), (example.rejected_ids, row.rejected_ref_logps)):
            with torch.no_grad():
                logits_TV = model(input_ids=torch.tensor([[*example.prompt_ids, *ids]])).logits[
                    0, len(example.prompt_ids) - 1 : -1
                ]
            wanted = logits_TV.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0]
            assert list(column) == pytest.approx(wanted.tolist(), abs=1e-5)


@pytest.mark.parametrize("packing", ["padded", "shared"])
def test_live_and_cached_reference_train_alike(
    packing: str, tiny_model: Any, make_examples: Any, tmp_path: Path
) -> None:
    config, examples = Config(), make_examples(6)
    config.data.packing = packing
    # The cache is made under the other packing: it must not matter.
    cache = stage(tmp_path, examples, tiny_model(seed=1).eval(), {"padded": "shared", "shared": "padded"}[packing])
    results = []
    for reference, pairs in ((tiny_model(seed=1), examples), (None, attach(examples, cache))):
        module = FocalDPOModule(config, tiny_model().train(), reference, total_steps=1)
        loss = module._step(collate(pairs, packing=packing, pad_id=0), Meter()).loss
        loss.backward()
        results.append((loss, {name: p.grad for name, p in module.policy.named_parameters()}))
    (live, wanted), (cached, found) = results
    torch.testing.assert_close(cached, live, rtol=1e-5, atol=0)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_a_batch_is_cached_only_when_each_of_its_pairs_is(make_examples: Any) -> None:
    bare = make_examples(2)
    full = [
        replace(e, chosen_ref_logps=(-1.0,) * len(e.chosen_ids), rejected_ref_logps=(-2.0,) * len(e.rejected_ids))
        for e in bare
    ]
    assert collate(full, packing="shared", pad_id=0).ref_logps_R is not None
    assert collate([full[0], bare[1]], packing="shared", pad_id=0).ref_logps_R is None


def test_a_module_without_any_reference_stops(tiny_model: Any, make_examples: Any) -> None:
    module = FocalDPOModule(Config(), tiny_model(), None, total_steps=1)
    with pytest.raises(ValueError, match="no reference"):
        module.ratios(collate(make_examples(2), packing="padded", pad_id=0))


def test_the_key_holds_ids_weights_and_arithmetic_and_no_mask(make_examples: Any) -> None:
    examples = make_examples(3)
    key = reference_key(examples, "weights", "fp32")
    masked = [
        replace(e, chosen_mask=(0.5,) * len(e.chosen_ids), rejected_focal=(0,) * len(e.rejected_ids)) for e in examples
    ]
    assert reference_key(masked, "weights", "fp32") == key
    longer = [replace(examples[0], rejected_ids=(7, *examples[0].rejected_ids)), *examples[1:]]
    others = [
        (longer, "weights", "fp32"),
        (examples[:2], "weights", "fp32"),
        (examples, "other", "fp32"),
        (examples, "weights", "bf16"),
    ]
    assert key not in {reference_key(*other) for other in others}


def test_a_finished_cache_opens_no_model_and_keeps_no_shards(
    tiny_model: Any, make_examples: Any, tmp_path: Path
) -> None:
    examples = make_examples(5)
    first = stage(tmp_path, examples, tiny_model().eval())
    again = reference_stage(
        tmp_path,
        "k",
        examples,
        lambda: pytest.fail("the model was opened"),
        make_batch=layout("padded"),
        micro_batch=2,
        **ARITHMETIC,
    )
    assert again == first
    assert first.manifest["counts"] == {"pairs": 5}
    assert not [path for path in (tmp_path / "reference" / "shards").iterdir() if path.is_dir()]


def test_a_killed_cache_goes_on_from_its_last_finished_shard(
    tiny_model: Any, make_examples: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples, model = make_examples(9), tiny_model().eval()
    monkeypatch.setattr(reference_cache, "_PAIRS_PER_SHARD", 2)
    whole = stage(tmp_path / "whole", examples, model)
    computed: list[str] = []

    def counted(model: Any, group: list[Example], **settings: Any) -> list[ReferenceLogps]:
        if len(computed) == 6:
            raise KeyboardInterrupt
        computed.extend(e.pair_id for e in group)
        return batch_logps(model, group, **settings)

    monkeypatch.setattr(reference_cache, "batch_logps", counted)
    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path / "run", examples, model)
    assert find(tmp_path / "run" / "reference", "k") is None
    before = set(computed)
    computed.clear()
    resumed = stage(tmp_path / "run", examples, model)
    assert set(computed) == {e.pair_id for e in examples} - before
    assert resumed.table("reference").read_bytes() == whole.table("reference").read_bytes()


def test_the_columns_survive_parquet_and_find_their_pairs(tiny_model: Any, make_examples: Any, tmp_path: Path) -> None:
    examples, model = make_examples(4), tiny_model().eval()
    rows = {row.pair_id: row for row in batch_logps(model, examples, make_batch=layout("padded"), **ARITHMETIC)}
    for example in attach(examples[::-1], stage(tmp_path, examples, model)):
        assert list(example.chosen_ref_logps) == pytest.approx(rows[example.pair_id].chosen_ref_logps, abs=1e-5)
        assert list(example.rejected_ref_logps) == pytest.approx(rows[example.pair_id].rejected_ref_logps, abs=1e-5)
        assert len(example.chosen_ref_logps) == len(example.chosen_ids)
