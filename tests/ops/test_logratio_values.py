"""The log-ratio from logits against its definition in fp64: as close as eager torch in the same dtype, on every odd shape."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from iterpref.ops import reference, token_logratio

from .cases import DTYPES, INTERPRETED, assert_no_worse_than_eager, differentiate, make, ours


def test_two_rows_worked_out_by_hand():
    policy_RV = torch.tensor([[0.0, math.log(3)], [5.0, 1.0]])  # softmax of row 0: 1/4, 3/4
    ref_RV = torch.zeros(2, 2)  # 1/2, 1/2
    out, grad_RV = differentiate(
        ours,
        policy_RV,
        torch.tensor([1, -100]),
        torch.tensor([2.0, 0.0]),
        ref_logits_RV=ref_RV,
        grads=(torch.ones(2), None),
    )
    torch.testing.assert_close(out.policy_logps_R, torch.tensor([math.log(3 / 4), 0]))
    torch.testing.assert_close(out.ref_logps_R, torch.tensor([math.log(1 / 2), 0]))
    torch.testing.assert_close(out.logratio_R, torch.tensor([2 * math.log(3 / 2), 0]))
    torch.testing.assert_close(grad_RV, torch.tensor([[-0.5, 0.5], [0, 0]]))  # 2 (onehot - softmax)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("V", [1, 7, 1000, 4096, 9003 if INTERPRETED else 49152 + 3])
@pytest.mark.parametrize("R", [0, 1, 5])
def test_every_shape_and_dtype_is_as_close_to_fp64_as_eager_torch(R, V, dtype):
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(R, V, dtype)
    assert_no_worse_than_eager(policy_RV, labels_R, mask_R, grads, ref_logits_RV=ref_RV)


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_of_ten_thousand_are_as_close_to_fp64_as_eager_torch(dtype):
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(6, 5000, dtype)
    shift_R1 = torch.tensor([1e4, -1e4, 1e4, -1e4, 0, 0])[:, None]
    assert_no_worse_than_eager(
        (policy_RV + shift_R1).to(dtype), labels_R, mask_R, grads, ref_logits_RV=(ref_RV - shift_R1).to(dtype)
    )


@pytest.mark.parametrize(
    "mask",
    [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [True, False, True, True, False], [0.25, 0, 1, -2, 1e-3]],
    ids=["all-zero", "all-one", "bool", "soft-and-signed"],
)
def test_every_kind_of_mask(mask):
    policy_RV, ref_RV, labels_R, _, *grads = make(5, 9000)  # three tiles of the kernel
    assert_no_worse_than_eager(policy_RV, labels_R, torch.tensor(mask), grads, ref_logits_RV=ref_RV)


def strided_views(tensor_RV: Tensor) -> dict[str, Tensor]:
    """The same values in other strides."""
    R, V = tensor_RV.shape
    wide = torch.full((R, V + 13), 7.0, dtype=tensor_RV.dtype)
    wide[:, 5 : V + 5] = tensor_RV
    every_other = torch.full((2 * R, 2 * V), 7.0, dtype=tensor_RV.dtype)
    every_other[::2, ::2] = tensor_RV
    return {
        "rows": wide[:, 5 : V + 5],
        "columns": every_other[::2, ::2],
        "transposed": tensor_RV.T.contiguous().T,
    }


@pytest.mark.parametrize("kind", ["rows", "columns", "transposed"])
def test_strides_do_not_matter_and_writing_in_place_keeps_to_its_own_elements(kind):
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(5, 1000, torch.bfloat16)
    labels_R = labels_R.repeat_interleave(2)[::2]
    plain, plain_grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)

    view_RV, ref_view_RV = strided_views(policy_RV)[kind], strided_views(ref_RV)[kind]
    storage = torch.tensor([], dtype=view_RV.dtype).set_(view_RV.untyped_storage())
    untouched = torch.ones_like(storage, dtype=torch.bool)
    untouched.as_strided(view_RV.shape, view_RV.stride(), view_RV.storage_offset()).fill_(False)
    before = storage.clone()

    view_RV.requires_grad_()
    out = ours(view_RV, labels_R, mask_R, ref_logits_RV=ref_view_RV)
    torch.autograd.backward(out[:2], grads)
    for a, b in zip(out, plain, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(view_RV.detach(), plain_grad_RV)
    assert torch.equal(storage[untouched], before[untouched])


def test_an_expanded_reference_is_one_row_for_all():
    policy_RV, ref_RV, labels_R, mask_R, *_ = make(4, 50)
    expanded = ours(policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV[:1].expand(4, -1))
    assert torch.equal(
        expanded.ref_logps_R, ours(policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV[:1].repeat(4, 1)).ref_logps_R
    )


def test_a_row_beyond_two_to_the_31_elements_is_found():
    # The memory between the rows is never touched, so it is never there.
    V, stride = 7, 2**30
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(3, V, torch.bfloat16)
    far_RV = torch.empty(2 * stride + V, dtype=torch.bfloat16).as_strided((3, V), (stride, 1))
    far_RV.copy_(policy_RV)
    plain, grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    out = ours(far_RV.requires_grad_(), labels_R, mask_R, ref_logits_RV=ref_RV)
    torch.autograd.backward(out[:2], grads)
    assert torch.equal(out.logratio_R, plain.logratio_R)
    assert torch.equal(far_RV.detach(), grad_RV)


def test_chunks_of_rows_do_not_change_the_torch_backend(monkeypatch):
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(11, 300)
    mask_R[4] = 0

    def run():
        return differentiate(
            token_logratio,
            policy_RV,
            labels_R,
            mask_R,
            ref_logits_RV=ref_RV,
            backend="torch",
            statistics=True,
            grads=grads,
        )

    whole, whole_grad_RV = run()
    monkeypatch.setattr(reference, "_CPU_CHUNK_BYTES", 3 * 4 * 300)  # three rows
    parts, parts_grad_RV = run()
    for a, b in zip([*whole, whole_grad_RV], [*parts, parts_grad_RV], strict=True):
        torch.testing.assert_close(a, b)


@settings(max_examples=4 if INTERPRETED else 25, deadline=None)
@given(seed=st.integers(0, 2**31), V=st.integers(1, 300), shift=st.integers(-64, 64))
def test_adding_a_constant_to_a_row_changes_nothing(seed, V, shift):
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(2, V, seed=seed)
    # Multiples of 2^-10 below 128: the sum with an integer shift is exact.
    policy_RV = (policy_RV * 1024).round() / 1024
    here, here_grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    there, there_grad_RV = differentiate(ours, policy_RV + shift, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    torch.testing.assert_close(here.logratio_R, there.logratio_R, atol=1e-4, rtol=0)
    torch.testing.assert_close(here_grad_RV, there_grad_RV, atol=1e-4, rtol=0)
