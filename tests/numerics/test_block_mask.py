"""The block mask says of each token and key what the dense mask says; its lists are those that torch would make from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask

from iterpref.batch import Batch, Terms
from iterpref.data.collate import collate
from iterpref.models import shared_prefix
from iterpref.models.shared_prefix import block_mask, dense_mask, sight


def batch_of(make_examples: Any, parts: int | None, one_row: bool) -> Batch:
    examples = make_examples(12, vocabulary=512, longest=90)
    terms = Terms(preference=True, nll="chosen")
    return collate(examples, packing="shared", pad_id=0, terms=terms, one_row=one_row, parts=parts)


@pytest.mark.parametrize("window", [None, 1, 70, 150])
@pytest.mark.parametrize(("parts", "one_row"), [(16, True), (None, True), (None, False)])
def test_the_mask_is_the_dense_one_block_by_block(
    window: int | None, parts: int | None, one_row: bool, make_examples: Any
) -> None:
    batch = batch_of(make_examples, parts, one_row)
    runs = sight(batch, window)
    S, T = batch.input_ids_ST.shape
    mask, seen_STT = block_mask(runs), dense_mask(runs, torch.float32)[:, 0] == 0
    n = -(-T // 128) * 128
    assert mask.seq_lengths == (n, n)
    index = torch.arange(n)
    found = torch.stack([mask.mask_mod(torch.tensor(s), torch.tensor(0), index[:, None], index) for s in range(S)])
    assert torch.equal(found[:, :T, :T], seen_STT)
    assert found.sum() == seen_STT.sum()  # tokens behind the row see nothing, and nothing sees them
    wanted = create_block_mask(mask.mask_mod, S, None, n, n, device="cpu")
    for side in ("kv", "q"):
        for kind in ("", "full_"):
            numbers, theirs = (getattr(m, f"{kind}{side}_num_blocks") for m in (mask, wanted))
            assert (numbers >= theirs).all() if kind == "" else (numbers <= theirs).all()
            places, theirs = (getattr(m, f"{kind}{side}_indices") for m in (mask, wanted))
            assert places.shape == theirs.shape
    # A block that two runs cover together counts as partial, which is slower and not wrong; no block is left out.
    assert torch.equal(mask.to_dense() > 0, wanted.to_dense() > 0)
    for s in range(S):
        for q in range(n // 128):
            for k in mask.full_kv_indices[s, 0, q, : mask.full_kv_num_blocks[s, 0, q]].tolist():
                assert found[s, q * 128 : (q + 1) * 128, k * 128 : (k + 1) * 128].all()


def test_neighbours_in_a_row_leave_most_blocks_unread(make_examples: Any) -> None:
    mask = block_mask(sight(batch_of(make_examples, 16, True)))
    blocks = mask.kv_num_blocks.sum() + mask.full_kv_num_blocks.sum()
    n = mask.kv_indices.shape[-1]
    assert n > 8
    assert blocks < 0.6 * n * (n + 1) / 2


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_a_row_that_ends_within_a_block_has_the_outputs_of_a_dense_mask(
    make_examples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_prefix, "_compiled", lambda: shared_prefix._attend)
    runs = sight(batch_of(make_examples, None, True))
    T = runs.near_ST.shape[1]
    assert T % 128
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, heads, T, 16, dtype=torch.float64, generator=generator) for heads in (4, 2, 2))
    found, _ = shared_prefix.flex_attention(None, query, key, value, block_mask(runs), 0.25)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, dense_mask(runs, torch.float64), scale=0.25, enable_gqa=True
    )
    torch.testing.assert_close(found, wanted.transpose(1, 2), rtol=1e-12, atol=1e-12)
