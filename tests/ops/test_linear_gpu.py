"""The fused head on a GPU: correct in every regime and dtype, repeatable, without waiting, and without logits of other rows."""

from __future__ import annotations

import gc

import pytest
import torch

from iterpref.ops import linear_logratio, products

from .linear_cases import assert_head_no_worse_than_eager, differentiate_head, make_head

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
QWEN_V = 151_936


@pytest.fixture(autouse=True)
def _give_memory_back():
    yield
    gc.collect()
    torch.cuda.empty_cache()


def fused(*args, **kwargs):
    return linear_logratio(*args, statistics=True, **kwargs)


def on_gpu(*args, **kwargs):
    return make_head(*args, device="cuda", **kwargs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize(
    ("T", "H", "V", "R"), [(1, 1, 1, 1), (5, 8, 7, 0), (9, 17, 1000, 1), (300, 64, 4099, 210), (200, 256, QWEN_V, 64)]
)
def test_every_shape_and_dtype_is_as_close_to_fp64_as_eager_torch(T, H, V, R, dtype):
    assert_head_no_worse_than_eager(on_gpu(T, H, V, R, dtype, density=0.8), fn=fused)


@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "frozen"])
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "recomputed"])
def test_every_regime_is_as_close_to_fp64_as_eager_torch(monkeypatch, kept, frozen):
    V, R = 5000, 200
    monkeypatch.setitem(products.CHUNK_BYTES, "cuda", 48 * 2 * V)
    case = on_gpu(T=300, H=128, V=V, R=R, dtype=torch.bfloat16, density=0.8, bias=not frozen, scale=0.5, softcap=9.0)
    assert_head_no_worse_than_eager(case, frozen, fn=fused, keep_bytes=None if kept else 0)


def test_fp64_goes_through_torch():
    assert_head_no_worse_than_eager(on_gpu(dtype=torch.float64, density=0.7), fn=fused)


def test_a_position_asked_for_many_labels_gets_the_sum_and_two_runs_agree_bit_for_bit():
    case = on_gpu(T=7, H=64, V=3000, R=500, dtype=torch.bfloat16)
    assert_head_no_worse_than_eager(case, fn=fused)
    (out_a, grads_a), (out_b, grads_b) = (differentiate_head(fused, case.to(torch.bfloat16)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip([*out_a, *grads_a], [*out_b, *grads_b], strict=True))


def test_masked_rows_spoil_nothing_and_unknown_labels_give_nan():
    case = on_gpu(T=6, H=64, V=3000, R=6, dtype=torch.bfloat16)
    case = case._replace(rows_R=torch.arange(6, device="cuda"))
    case.hidden_TH[1], case.labels_R[1], case.mask_R[1], case.ref_logps_R[1] = float("nan"), -100, 0, float("nan")
    out, grads = differentiate_head(fused, case)
    assert all(o[1] == 0 for o in out)
    assert all(t.isfinite().all() for t in [*out, *grads])
    case.labels_R[2] = 3000
    assert fused(case.hidden_TH, case.weight_VH, case.rows_R, case.labels_R).logratio_R.isnan().tolist()[2]


def test_autocast_leaves_fp32_gradients_to_fp32_parameters():
    case = on_gpu(T=100, H=64, V=3000, R=80, bias=True)
    _, truth = differentiate_head(fused, case.to(torch.float32))
    for keep_bytes in (None, 0):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            _, grads = differentiate_head(fused, case, keep_bytes=keep_bytes)
        assert [g.dtype for g in grads] == [torch.float32] * 3
        assert not torch.equal(grads[1], grads[1].bfloat16().float())
        for g, t in zip(grads, truth, strict=True):
            assert (g - t).norm() <= 0.02 * t.norm()


def test_nothing_waits_for_the_device():
    case = on_gpu(T=100, H=64, V=3000, R=80, dtype=torch.bfloat16, density=0.5, bias=True)
    differentiate_head(fused, case)  # compiled
    torch.cuda.set_sync_debug_mode("error")
    try:
        for keep_bytes in (None, 0):
            differentiate_head(fused, case, keep_bytes=keep_bytes)
        differentiate_head(fused, case, frozen=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def peak_bytes(call) -> int:
    gc.collect()
    torch.cuda.synchronize()
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    kept = call()
    torch.cuda.synchronize()
    del kept
    return torch.cuda.max_memory_allocated() - held


def test_memory_grows_with_the_rows_that_have_loss_or_not_at_all():
    case = on_gpu(T=4096, H=256, V=QWEN_V, R=1024, dtype=torch.bfloat16)
    differentiate_head(fused, case)
    logits, weight = 1024 * QWEN_V * 2, QWEN_V * 256 * 2
    assert peak_bytes(lambda: differentiate_head(fused, case)) < 1.1 * (logits + weight)
    chunk = products.CHUNK_BYTES["cuda"]
    assert peak_bytes(lambda: differentiate_head(fused, case, frozen=True)) < 1.1 * chunk
    case = on_gpu(T=8192, H=256, V=QWEN_V, R=8192, dtype=torch.bfloat16)
    assert peak_bytes(lambda: differentiate_head(fused, case, keep_bytes=0)) < 1.1 * (chunk + weight)


def test_more_than_two_to_the_31_logits_kept_at_once():
    if torch.cuda.get_device_properties(0).total_memory < 24 * 2**30:
        pytest.skip("needs a GPU of 24 GiB")
    R = 16_384
    case = on_gpu(T=R, H=64, V=QWEN_V, R=R, dtype=torch.bfloat16)
    assert R * QWEN_V > 2**31
    out, grads = differentiate_head(fused, case, keep_bytes=8 * 2**30)
    parts, part_grads = differentiate_head(fused, case, keep_bytes=0)
    torch.testing.assert_close(out.policy_logps_R, parts.policy_logps_R, atol=1e-3, rtol=0)
    for g, p in zip(grads, part_grads, strict=True):
        assert (g.float() - p.float()).norm() <= 0.01 * p.float().norm()
