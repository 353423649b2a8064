"""Rows of the fused head: those without loss cost and spoil nothing, two runs agree, and what does not fit is named."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.errors import UserError
from iterpref.ops import LogitMap, linear, linear_logratio, products

from .cases import BACKEND, INF, INTERPRETED
from .linear_cases import differentiate_head, make_head, ours_head


def products_of(monkeypatch) -> list[int]:
    """The numbers of rows that go through the head from now on."""
    seen: list[int] = []
    plain = linear.product
    monkeypatch.setattr(linear, "product", lambda h, *rest: seen.append(len(h)) or plain(h, *rest))
    return seen


def test_no_logits_are_made_for_positions_without_a_row(monkeypatch):
    seen = products_of(monkeypatch)
    differentiate_head(ours_head, make_head(T=1000, R=5))
    assert sum(seen) == 5


def test_on_a_cpu_masked_rows_do_not_go_through_the_head(monkeypatch):
    seen = products_of(monkeypatch)
    case = make_head(R=40, density=0.5)
    differentiate_head(ours_head, case)
    assert sum(seen) == int((case.mask_R != 0).sum()) < 40


@pytest.mark.parametrize("label", [-100, 10**9])
@pytest.mark.parametrize("poison", [float("nan"), INF])
def test_a_masked_row_spoils_nothing(label, poison):
    case = make_head(T=5, R=4, bias=True)._replace(rows_R=torch.tensor([0, 1, 2, 3]))
    case.hidden_TH[1], case.labels_R[1], case.mask_R[1] = poison, label, 0
    case.ref_logps_R[1], case.grads[0][1], case.grads[1][1] = float("nan"), INF, float("nan")
    out, grads = differentiate_head(ours_head, case)
    assert all(o[1] == 0 for o in out)
    assert all(t.isfinite().all() for t in [*out, *grads])
    assert not grads[0][1].any()


def test_two_runs_agree_bit_for_bit_also_where_positions_repeat():
    case = make_head(T=3, V=400, R=50)
    (out_a, grads_a), (out_b, grads_b) = (differentiate_head(ours_head, case.to(torch.float32)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip([*out_a, *grads_a], [*out_b, *grads_b], strict=True))


@settings(max_examples=4 if INTERPRETED else 20, deadline=None)
@given(seed=st.integers(0, 2**31), data=st.data())
def test_the_order_of_the_rows_does_not_matter(seed, data):
    case = make_head(T=6, R=8, seed=seed)
    order_R = torch.tensor(data.draw(st.permutations(range(8))))
    moved = case._replace(
        **{name: getattr(case, name)[order_R] for name in ("rows_R", "labels_R", "mask_R", "ref_logps_R")},
        grads=tuple(g[order_R] for g in case.grads),
    )
    out, grads = differentiate_head(ours_head, case)
    moved_out, moved_grads = differentiate_head(ours_head, moved)
    for a, b in zip(out, moved_out, strict=True):
        torch.testing.assert_close(a[order_R], b)
    for a, b in zip(grads, moved_grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_without_gradient_nothing_is_kept_and_chunks_are_small(monkeypatch):
    case = make_head(V=100, R=10)
    monkeypatch.setitem(products.CHUNK_BYTES, "cpu", 4 * 4 * 100)
    seen = products_of(monkeypatch)
    case.weight_VH.requires_grad_()
    with torch.no_grad():
        out = ours_head(case.hidden_TH, case.weight_VH, case.rows_R, case.labels_R)
    assert not out.logratio_R.requires_grad
    assert seen == [4, 4, 2]


def test_a_frozen_head_is_multiplied_once_for_forward_and_not_again_in_backward(monkeypatch):
    seen = products_of(monkeypatch)
    differentiate_head(ours_head, make_head(R=6), frozen=True)
    assert seen == [6]


def test_a_second_backward_makes_the_logits_again():
    case = make_head(R=6)
    for leaf in case.leaves:
        leaf.requires_grad_()
    loss = ours_head(case.hidden_TH, case.weight_VH, case.rows_R, case.labels_R).logratio_R.sum()
    once = torch.autograd.grad(loss, case.leaves, retain_graph=True)
    twice = torch.autograd.grad(loss, case.leaves)
    for a, b in zip(once, twice, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_without_mask_or_reference_the_log_ratio_is_the_log_prob():
    case = make_head(R=6)
    out = ours_head(case.hidden_TH, case.weight_VH, case.rows_R, case.labels_R, statistics=False)
    assert torch.equal(out.logratio_R, out.policy_logps_R)
    assert not out.ref_logps_R.any()
    assert out.entropy_R is None
    assert out.top1_R is None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"hidden_TH": torch.zeros(2, 3, 4)}, ValueError, r"hidden states \[T, H\]"),
        ({"weight_VH": torch.zeros(5, 3)}, ValueError, r"weight \[V, H\]"),
        ({"weight_VH": torch.zeros(0, 4)}, ValueError, "V > 0"),
        ({"weight_VH": torch.zeros(5, 4).double()}, ValueError, "of one dtype"),
        ({"rows_R": torch.tensor([0, 3])}, ValueError, r"positions in \[0, 3\), got 0 to 3"),
        ({"rows_R": torch.zeros(2)}, ValueError, "rows_R: expected integers"),
        ({"labels_R": torch.zeros(3, dtype=torch.long)}, ValueError, "labels_R: expected"),
        ({"labels_R": torch.zeros(2)}, ValueError, "labels_R: expected integers"),
        ({"labels_R": torch.tensor([0, 5])}, UserError, "label 5 in a scored row, but the logits have 5 columns"),
        ({"mask_R": torch.zeros(3)}, ValueError, "mask_R: expected"),
        ({"ref_logps_R": torch.zeros(2, device="meta")}, ValueError, "ref_logps_R is on meta"),
        ({"head": LogitMap(bias_V=torch.zeros(4))}, ValueError, "bias_V: expected"),
        ({"head": LogitMap(scale=0.0)}, ValueError, "scale that is not 0"),
        ({"head": LogitMap(softcap=-1.0)}, ValueError, "softcap above 0"),
    ],
)
def test_arguments_that_do_not_fit_are_named(change, error, message):
    fitting = {
        "hidden_TH": torch.zeros(3, 4),
        "weight_VH": torch.zeros(5, 4),
        "rows_R": torch.tensor([0, 2]),
        "labels_R": torch.tensor([4, 0]),
    }
    with pytest.raises(error, match=message):
        linear_logratio(**{**fitting, **change}, backend=BACKEND)
