"""The fused head against its definition in fp64: as close as eager torch in the same dtype, on every odd shape and head."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.ops import LogitMap, linear_logratio, products, token_logratio

from .cases import BACKEND, DTYPES, INTERPRETED
from .linear_cases import assert_head_no_worse_than_eager, differentiate_head, make_head, ours_head


def test_one_row_worked_out_by_hand():
    hidden_TH = torch.tensor([[9.0, 9.0], [math.log(3), 0.0]], requires_grad=True)
    weight_VH = torch.tensor([[0.0, 0.0], [1.0, 0.0]], requires_grad=True)  # logits 0 and log 3: softmax 1/4, 3/4
    out = ours_head(hidden_TH, weight_VH, torch.tensor([1]), torch.tensor([1]), ref_logps_R=torch.tensor([-2.0]))
    torch.testing.assert_close(out.policy_logps_R.detach(), torch.tensor([math.log(3 / 4)]))
    torch.testing.assert_close(out.logratio_R.detach(), torch.tensor([math.log(3 / 4) + 2]))
    torch.testing.assert_close(out.entropy_R, torch.tensor([-(0.25 * math.log(0.25) + 0.75 * math.log(0.75))]))
    assert out.top1_R.tolist() == [1]
    out.logratio_R.sum().backward()
    torch.testing.assert_close(hidden_TH.grad, torch.tensor([[0.0, 0.0], [0.25, 0.0]]))  # (onehot - softmax) W
    torch.testing.assert_close(weight_VH.grad, 0.25 * math.log(3) * torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("T", "H", "V", "R"), [(1, 1, 1, 1), (5, 3, 7, 0), (0, 3, 7, 0), (9, 17, 1000, 1), (33, 40, 4099, 21)]
)
def test_every_shape_and_dtype_is_as_close_to_fp64_as_eager_torch(T, H, V, R, dtype):
    assert_head_no_worse_than_eager(make_head(T, H, V, R, dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "head",
    [{"bias": True}, {"scale": 0.0625}, {"softcap": 5.0}, {"bias": True, "scale": 1 / 3, "softcap": 2.0}],
    ids=["bias", "scale", "softcap", "all"],
)
def test_bias_scale_and_softcap(head, dtype):
    assert_head_no_worse_than_eager(make_head(V=700, R=8, dtype=dtype, density=0.7, **head))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "frozen"])
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "recomputed"])
def test_every_regime_is_as_close_to_fp64_as_eager_torch(monkeypatch, kept, frozen, dtype):
    V, R = 301, 20
    monkeypatch.setitem(products.CHUNK_BYTES, "cpu", 3 * V * dtype.itemsize)  # 3 rows, or all rows of 45 columns
    monkeypatch.setattr(products, "LEAST_COLUMNS", 1)
    case = make_head(T=30, V=V, R=R, dtype=dtype, bias=not frozen, softcap=9.0, density=0.8)
    assert_head_no_worse_than_eager(case, frozen, keep_bytes=None if kept else R * V * dtype.itemsize // 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_position_asked_for_two_labels_gets_the_sum_of_both_gradients(dtype):
    case = make_head(T=4, R=6, dtype=dtype)._replace(rows_R=torch.tensor([2, 0, 2, 2, 0, 3]))
    assert_head_no_worse_than_eager(case)
    _, grads = differentiate_head(ours_head, case.to(dtype))
    assert not grads[0][1].any()  # nobody asked for position 1


def test_autocast_computes_in_bf16_and_leaves_fp32_gradients_to_fp32_parameters():
    case = make_head(T=20, H=32, V=300, R=15, bias=True)
    _, truth_grads = differentiate_head(ours_head, case.to(torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, grads = differentiate_head(ours_head, case)
    rounded, rounded_grads = differentiate_head(ours_head, case.to(torch.bfloat16)._replace(bias_V=case.bias_V))
    assert [g.dtype for g in grads] == [torch.float32] * 3
    # The operands are rounded, the gradients are not.
    torch.testing.assert_close(out.policy_logps_R, rounded.policy_logps_R)
    for g, r, t in zip(grads, rounded_grads, truth_grads, strict=True):
        assert (g - t).norm() <= 0.02 * t.norm()
        torch.testing.assert_close(g, r.float(), rtol=1e-2, atol=1e-2 * t.abs().max().item())
    assert not torch.equal(grads[1], grads[1].bfloat16().float())


@pytest.mark.skipif(INTERPRETED, reason="the kernels compute in fp32")
@pytest.mark.parametrize("head", [{}, {"bias": True, "scale": 0.5, "softcap": 4.0}])
@pytest.mark.parametrize("keep_bytes", [None, 0])
def test_gradcheck_in_fp64(head, keep_bytes):
    case = make_head(T=3, H=4, V=5, R=4, dtype=torch.float64, **head)
    leaves = [leaf.requires_grad_() for leaf in case.leaves]

    def outputs(hidden_TH, weight_VH, bias_V=None):
        out = linear_logratio(
            hidden_TH, weight_VH, case.rows_R, case.labels_R, mask_R=case.mask_R, ref_logps_R=case.ref_logps_R.double(),
            head=LogitMap(case.scale, case.softcap, bias_V), keep_bytes=keep_bytes,
        )  # fmt: skip
        return out.logratio_R, out.policy_logps_R

    assert torch.autograd.gradcheck(outputs, leaves)


def test_the_label_is_not_rounded_to_half_precision():
    # All logits near 32, a quarter apart in bf16: logsumexp averages the rounding of many, the label's stands alone.
    case = make_head(T=64, H=64, V=2000, R=64, dtype=torch.bfloat16)
    case.weight_VH.mul_(0.3)
    case.hidden_TH[:, 0], case.weight_VH[:, 0] = 8, 4
    out = ours_head(case.hidden_TH, case.weight_VH, case.rows_R, case.labels_R)
    rounded_RV = (case.hidden_TH @ case.weight_VH.T)[case.rows_R].float()
    exact_RV = case.hidden_TH.double()[case.rows_R] @ case.weight_VH.double().T
    exact_R, rounded_R = (
        z_RV.log_softmax(1).gather(1, case.labels_R[:, None])[:, 0] for z_RV in (exact_RV, rounded_RV)
    )
    assert (out.policy_logps_R - exact_R).abs().mean() < 0.2 * (rounded_R - exact_R).abs().mean()


@settings(max_examples=4 if INTERPRETED else 20, deadline=None)
@given(seed=st.integers(0, 2**31), V=st.integers(1, 60), R=st.integers(0, 9), density=st.sampled_from([0.0, 0.5, 1.0]))
def test_the_head_equals_the_log_ratio_of_its_logits(seed, V, R, density):
    case = make_head(V=V, R=R, seed=seed, density=density)
    out = ours_head(
        case.hidden_TH, case.weight_VH, case.rows_R, case.labels_R, mask_R=case.mask_R, ref_logps_R=case.ref_logps_R
    )
    logits_RV = case.hidden_TH[case.rows_R] @ case.weight_VH.T
    plain = token_logratio(
        logits_RV, case.labels_R, case.mask_R, ref_logps_R=case.ref_logps_R, statistics=True, backend=BACKEND
    )
    for mine, theirs in zip(out, plain, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-5)
