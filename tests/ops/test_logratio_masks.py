"""Rows, labels and tokens that must not count: masked rows are never read, an impossible token makes no NaN."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from .cases import INF, INTERPRETED, assert_no_worse_than_eager, differentiate, make, ours


@pytest.mark.parametrize("label", [-100, 10**9])
def test_a_masked_row_is_never_read(label):
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(4, 1000)
    policy_RV[1], ref_RV[1], labels_R[1], mask_R[1] = float("nan"), float("nan"), label, 0
    grads[0][1] = INF
    out, grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    assert all(o[1] == 0 for o in out)
    assert torch.equal(grad_RV[1], torch.zeros(1000))
    assert all(o.isfinite().all() for o in [*out, grad_RV])


def test_a_row_with_no_incoming_gradient_gets_zeros_even_if_its_logits_are_nan():
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(3, 1000)
    policy_RV[1], grads[0][1], grads[1][1] = float("nan"), 0, 0
    _, grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    assert torch.equal(grad_RV[1], torch.zeros(1000))
    assert grad_RV[0].abs().sum() > 0


@pytest.mark.parametrize("masked", [slice(0, 4096), slice(4096, 9000), slice(0, 8500), slice(None, None, 2)])
def test_a_masked_vocabulary_makes_no_nan_even_where_it_fills_a_tile(masked):
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(3, 9000)
    policy_RV[:, masked], ref_RV[:, masked] = -INF, -INF
    labels_R[:] = policy_RV[0].isfinite().nonzero()[7]
    assert_no_worse_than_eager(policy_RV, labels_R, mask_R, grads, ref_logits_RV=ref_RV)
    _, grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    assert (grad_RV[:, masked] == 0).all()


def test_a_label_that_cannot_happen_has_logp_minus_infinity_and_a_finite_gradient():
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(2, 10)
    policy_RV[0, labels_R[0]] = -INF
    out, grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    assert out.policy_logps_R[0] == out.logratio_R[0] == -INF
    g = mask_R[0] * grads[0][0] + grads[1][0]
    expected_V = -g * policy_RV[0].softmax(0)
    expected_V[labels_R[0]] = g
    torch.testing.assert_close(grad_RV[0], expected_V)


@settings(max_examples=4 if INTERPRETED else 25, deadline=None)
@given(seed=st.integers(0, 2**31), V=st.integers(1, 300), mask=st.lists(st.booleans(), min_size=4, max_size=4))
def test_masked_rows_have_exactly_zero_gradient_and_live_rows_sum_to_zero(seed, V, mask):
    policy_RV, ref_RV, labels_R, _, *grads = make(4, V, seed=seed)
    mask_R = torch.tensor(mask)
    _, grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    assert (grad_RV[~mask_R] == 0).all()
    # sum over v of onehot - softmax = 0
    torch.testing.assert_close(grad_RV.sum(1), torch.zeros(4), atol=1e-5, rtol=0)
