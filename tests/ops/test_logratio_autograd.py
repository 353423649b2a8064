"""What autograd sees of the log-ratio from logits: which output carries gradient, and what in-place backward may overwrite."""

from __future__ import annotations

import pytest
import torch

from iterpref.ops import token_logratio_definition

from .cases import assert_no_worse_than_eager, differentiate, make, ours


def test_reference_logps_give_the_same_as_reference_logits():
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(5, 1000)
    labels_R[3], mask_R[3] = -100, 0
    live, live_grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    stored_R = live.ref_logps_R.clone()
    stored_R[3] = float("nan")  # what a cache holds for a masked row is nobody's business
    cached, cached_grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logps_R=stored_R, grads=grads)
    for a, b in zip([*live, live_grad_RV], [*cached, cached_grad_RV], strict=True):
        assert torch.equal(a, b)
    assert_no_worse_than_eager(policy_RV, labels_R, mask_R, grads, ref_logps_R=live.ref_logps_R)


@pytest.mark.parametrize("used", [(True, False), (False, True), (True, True)])
def test_gradient_comes_through_either_output_alone_and_through_both(used):
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(4, 77)
    grads = [g if u else None for g, u in zip(grads, used, strict=True)]
    assert_no_worse_than_eager(policy_RV, labels_R, mask_R, grads, ref_logits_RV=ref_RV)


def test_the_reference_takes_no_gradient():
    policy_RV, ref_RV, labels_R, mask_R, *_ = make(3, 20)
    policy_RV.requires_grad_()
    ref_RV.requires_grad_()
    out = ours(policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV)
    assert out.logratio_R.requires_grad
    assert out.policy_logps_R.requires_grad
    assert not out.ref_logps_R.requires_grad
    out.logratio_R.sum().backward()
    assert ref_RV.grad is None


def test_backward_in_place_turns_the_logits_buffer_into_the_gradient():
    policy_RV, ref_RV, labels_R, mask_R, *_ = make(3, 1000)
    weight_VV = torch.eye(1000).requires_grad_()
    logits_RV = policy_RV @ weight_VV  # as in a model: no leaf, and the product does not keep its result
    ours(logits_RV, labels_R, mask_R, ref_logits_RV=ref_RV).logratio_R.sum().backward()
    _, expected_RV = differentiate(
        token_logratio_definition, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=(torch.ones(3), None)
    )
    torch.testing.assert_close(logits_RV.detach(), expected_RV)
    torch.testing.assert_close(weight_VV.grad, policy_RV.T @ expected_RV)


def test_backward_out_of_place_leaves_the_logits_alone_and_can_run_twice():
    policy_RV, ref_RV, labels_R, mask_R, *_ = make(3, 1000)
    leaf_RV = policy_RV.clone().requires_grad_()
    loss = ours(leaf_RV, labels_R, mask_R, ref_logits_RV=ref_RV, inplace_backward=False).logratio_R.sum()
    loss.backward(retain_graph=True)
    once_RV = leaf_RV.grad.clone()
    loss.backward()
    assert torch.equal(leaf_RV.detach(), policy_RV)
    assert torch.equal(leaf_RV.grad, 2 * once_RV)


def test_a_second_backward_over_consumed_logits_is_refused():
    policy_RV, ref_RV, labels_R, mask_R, *_ = make(3, 10)
    loss = ours(policy_RV.requires_grad_(), labels_R, mask_R, ref_logits_RV=ref_RV).logratio_R.sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_another_operation_that_saved_the_logits_is_told_that_they_are_gone():
    policy_RV, ref_RV, labels_R, mask_R, *_ = make(3, 10)
    logits_RV = policy_RV.requires_grad_() * 1
    entropy_like = logits_RV.square().sum()
    loss = entropy_like + ours(logits_RV, labels_R, mask_R, ref_logits_RV=ref_RV).logratio_R.sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_second_derivative_is_refused():
    policy_RV, ref_RV, labels_R, mask_R, *_ = make(3, 10)
    policy_RV.requires_grad_()
    out = ours(policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, inplace_backward=False)
    (grad_RV,) = torch.autograd.grad(out.logratio_R.square().sum(), policy_RV, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad_RV.sum().backward()


def test_nothing_is_kept_for_backward_without_gradient():
    policy_RV, ref_RV, labels_R, mask_R, *_ = make(3, 10)
    with torch.no_grad():
        out = ours(policy_RV.requires_grad_(), labels_R, mask_R, ref_logits_RV=ref_RV)
    assert not out.logratio_R.requires_grad
