"""The log-ratio against its definition in fp64: as close as eager torch in the same dtype, on every odd shape.

The Triton kernels run here on the CPU, under Triton's interpreter. The interpreter must be chosen before triton is
imported and would break a GPU test of the same process, so it has a process of its own:
`test_the_triton_kernels_pass_this_file` runs this file again with TRITON_INTERPRET=1.
"""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from iterpref import ops
from iterpref.errors import UserError
from iterpref.ops import TokenLogRatio, reference, sequence_sum, token_logratio, token_logratio_definition

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
BACKEND = "triton" if INTERPRETED else "torch"
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
INF = float("inf")


def make(R: int, V: int, dtype: torch.dtype = torch.float32, scale: float = 3.0, seed: int = 0):
    """(policy logits, reference logits, labels, soft mask, gradient to come into logratio, and into logps)"""
    g = torch.Generator().manual_seed(seed)
    policy_RV, ref_RV = (scale * torch.randn(2, R, V, generator=g)).to(dtype)
    labels_R = torch.randint(V, (R,), generator=g)
    mask_R = torch.rand(R, generator=g) + 0.5
    return policy_RV, ref_RV, labels_R, mask_R, torch.randn(R, generator=g), torch.randn(R, generator=g)


def differentiate(fn, policy_RV: Tensor, *args, grads: tuple[Tensor | None, Tensor | None], **kwargs):
    """(outputs, d/dpolicy of sum over both outputs of grad * output); leaves `policy_RV` as it is."""
    leaf_RV = policy_RV.clone(memory_format=torch.preserve_format).requires_grad_()
    out = fn(leaf_RV, *args, **kwargs)
    pairs = [(o, g.to(o.dtype)) for o, g in zip(out, grads, strict=False) if g is not None]
    (grad_RV,) = torch.autograd.grad([o for o, _ in pairs], leaf_RV, [g for _, g in pairs])
    return TokenLogRatio(*(o.detach() for o in out)), grad_RV


def ours(*args, **kwargs) -> TokenLogRatio:
    return token_logratio(*args, backend=BACKEND, **kwargs)


def assert_no_worse_than_eager(policy_RV, labels_R, mask_R, grads, **ref) -> None:
    """|ours - fp64| <= 2 max |eager - fp64| + a few roundings, for the three outputs and the gradient."""
    wide = {k: v.double() for k, v in ref.items()}
    truth, truth_grad_RV = differentiate(
        token_logratio_definition, policy_RV.double(), labels_R, mask_R, grads=grads, **wide
    )
    eager, eager_grad_RV = differentiate(token_logratio_definition, policy_RV, labels_R, mask_R, grads=grads, **ref)
    mine, mine_grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, grads=grads, **ref)
    assert mine_grad_RV.dtype == policy_RV.dtype
    assert all(o.dtype == torch.float32 for o in mine)
    names = [*TokenLogRatio._fields, "gradient"]
    for name, m, e, t in zip(
        names, [*mine, mine_grad_RV], [*eager, eager_grad_RV], [*truth, truth_grad_RV], strict=True
    ):
        if t.numel() == 0:
            assert m.shape == t.shape
            continue
        allowed = 2 * (e.double() - t).abs().max() + 4 * torch.finfo(torch.float32).eps * t.abs().max().clamp(min=1)
        if name == "gradient" and INTERPRETED:
            # The interpreter cuts fp32 off to bf16 where a GPU rounds to nearest.
            allowed = allowed + torch.finfo(policy_RV.dtype).eps * t.abs().max()
        worst = (m.double() - t).abs().max()
        assert worst <= allowed, f"{name}: off by {worst:.3g}, allowed {allowed:.3g}"


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
@pytest.mark.parametrize("V", [1, 7, 1000, 4096, 49152 + 3])
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


def test_chunks_of_rows_do_not_change_the_torch_backend(monkeypatch):
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(11, 300)
    mask_R[4] = 0

    def run():
        return differentiate(
            token_logratio, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, backend="torch", grads=grads
        )

    whole, whole_grad_RV = run()
    monkeypatch.setattr(reference, "_CPU_CHUNK_BYTES", 3 * 4 * 300)  # three rows
    parts, parts_grad_RV = run()
    for a, b in zip([*whole, whole_grad_RV], [*parts, parts_grad_RV], strict=True):
        torch.testing.assert_close(a, b)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), V=st.integers(1, 300), shift=st.integers(-64, 64))
def test_adding_a_constant_to_a_row_changes_nothing(seed, V, shift):
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(2, V, seed=seed)
    # Multiples of 2^-10 below 128: the sum with an integer shift is exact.
    policy_RV = (policy_RV * 1024).round() / 1024
    here, here_grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    there, there_grad_RV = differentiate(ours, policy_RV + shift, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    torch.testing.assert_close(here.logratio_R, there.logratio_R, atol=1e-4, rtol=0)
    torch.testing.assert_close(here_grad_RV, there_grad_RV, atol=1e-4, rtol=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), V=st.integers(1, 300), mask=st.lists(st.booleans(), min_size=4, max_size=4))
def test_masked_rows_have_exactly_zero_gradient_and_live_rows_sum_to_zero(seed, V, mask):
    policy_RV, ref_RV, labels_R, _, *grads = make(4, V, seed=seed)
    mask_R = torch.tensor(mask)
    _, grad_RV = differentiate(ours, policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV, grads=grads)
    assert (grad_RV[~mask_R] == 0).all()
    # sum over v of onehot - softmax = 0
    torch.testing.assert_close(grad_RV.sum(1), torch.zeros(4), atol=1e-5, rtol=0)


def test_sequence_sum_adds_weighted_rows_by_sequence_and_passes_the_weights_back():
    values_R = torch.tensor([1.0, 2.0, -3.0, -INF], requires_grad=True)
    weights_R = torch.tensor([1.0, 0.5, 2.0, 0.0])
    sums_S = sequence_sum(values_R, weights_R, torch.tensor([2, 0, 2, 0]), 4)
    assert sums_S.tolist() == [1.0, 0.0, -5.0, 0.0]
    (sums_S * torch.tensor([10.0, 0.0, 1.0, 0.0])).sum().backward()
    assert values_R.grad is not None
    assert values_R.grad.tolist() == [1.0, 5.0, 2.0, 0.0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), R=st.integers(0, 200), S=st.integers(1, 9))
def test_sequence_sum_equals_index_add(seed, R, S):
    g = torch.Generator().manual_seed(seed)
    values_R, weights_R = torch.randn(2, R, generator=g)
    sequence_R = torch.randint(S, (R,), generator=g)
    expected_S = torch.zeros(S).index_add(0, sequence_R, values_R * weights_R)
    torch.testing.assert_close(sequence_sum(values_R, weights_R, sequence_R, S), expected_S, atol=1e-5, rtol=1e-5)


def test_the_backend_is_torch_on_the_cpu_and_triton_only_where_it_can_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(ops, "_triton_imports", lambda: True)
    assert ops.resolve_backend("auto", "cpu") == "torch"
    assert ops.resolve_backend("auto", torch.device("cuda:1")) == "triton"
    assert ops.resolve_backend("torch", "cuda") == "torch"
    with pytest.raises(UserError, match="ops=torch"):
        ops.resolve_backend("triton", "cpu")
    with pytest.raises(UserError, match="expected auto, triton or torch"):
        ops.resolve_backend("cuda", "cpu")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert ops.resolve_backend("triton", "cpu") == "triton"
    assert ops.resolve_backend("auto", "cpu") == "torch"
    monkeypatch.setattr(ops, "_triton_imports", lambda: False)
    assert ops.resolve_backend("auto", "cuda") == "torch"
    with pytest.raises(UserError, match="ops=torch"):
        ops.resolve_backend("triton", "cuda")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ref_logps_R": torch.zeros(3)}, "exactly one"),
        ({"ref_logits_RV": None}, "exactly one"),
        ({"policy_logits_RV": torch.zeros(3, 2, 4)}, r"expected \[R, V\]"),
        ({"policy_logits_RV": torch.zeros(3, 0)}, "V > 0"),
        ({"policy_logits_RV": torch.zeros(3, 4, dtype=torch.float64)}, "bfloat16, float16 or float32"),
        ({"policy_logits_RV": torch.zeros(1, 4).expand(3, 4)}, "inplace_backward=False"),
        ({"labels_R": torch.zeros(2, dtype=torch.long)}, "labels_R: expected"),
        ({"labels_R": torch.zeros(3)}, "expected integers"),
        ({"mask_R": torch.zeros(3, 1)}, "mask_R: expected"),
        ({"mask_R": torch.zeros(3, device="meta")}, "mask_R is on meta"),
        ({"ref_logits_RV": torch.zeros(3, 5)}, "ref_logits_RV: expected"),
    ],
)
def test_arguments_that_do_not_fit_are_named(change, message):
    fitting = {
        "policy_logits_RV": torch.zeros(3, 4),
        "labels_R": torch.zeros(3, dtype=torch.long),
        "mask_R": torch.ones(3),
        "ref_logits_RV": torch.zeros(3, 4),
    }
    with pytest.raises(ValueError, match=message):
        token_logratio(**{**fitting, **change})


@pytest.mark.parametrize("label", [-100, 4])
def test_a_label_outside_the_vocabulary_of_a_live_row_is_the_users_to_mend(label):
    logits_RV = torch.zeros(2, 4)
    with pytest.raises(UserError, match=f"label {label} in a scored row, but the logits have 4 columns"):
        ours(logits_RV, torch.tensor([0, label]), torch.ones(2), ref_logps_R=torch.zeros(2))


@pytest.mark.skipif(INTERPRETED, reason="says nothing about the backend")
def test_the_package_works_where_triton_is_not_installed():
    program = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch; from iterpref import ops\n"
        "out = ops.token_logratio(torch.zeros(1, 2), torch.tensor([1]), torch.ones(1), ref_logps_R=torch.zeros(1))\n"
        "assert abs(out.logratio_R.item() + 0.6931472) < 1e-6"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.skipif(INTERPRETED, reason="this is that process")
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_the_triton_kernels_pass_this_file():
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert " passed" in run.stdout
