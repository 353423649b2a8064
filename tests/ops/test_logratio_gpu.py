"""The Triton kernels, compiled, on shapes of real models: correct beyond 2^31 elements, and without extra memory."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor

from iterpref.ops import TokenLogRatio, resolve_backend, token_logratio, token_logratio_definition

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
QWEN_V, SMOL_V = 151_936, 49_152


@pytest.fixture(autouse=True)
def _give_memory_back():
    yield
    gc.collect()
    torch.cuda.empty_cache()


def need_gib(gib: int) -> None:
    if torch.cuda.get_device_properties(0).total_memory < gib * 2**30:
        pytest.skip(f"needs a GPU of {gib} GiB")


def make(R: int, V: int, dtype: torch.dtype = torch.bfloat16, density: float = 1.0, seed: int = 0):
    """(policy, reference, labels, soft mask of that density, gradient into logratio, gradient into logps)"""
    g = torch.Generator("cuda").manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=g, device="cuda")

    def logits() -> Tensor:
        return torch.empty(R, V, device="cuda", dtype=dtype).normal_(0, 3, generator=g)

    labels_R = torch.randint(V, (R,), generator=g, device="cuda")
    mask_R = (rand(R) + 0.5) * (rand(R) < density)
    labels_R = labels_R.where(mask_R != 0, -100)
    return logits(), logits(), labels_R, mask_R, rand(R) - 0.5, rand(R) - 0.5


def truth(policy_RV, ref_RV, labels_R, mask_R, grads, dtype=None):
    """The definition, in `dtype` or the logits' own: (logratio, logps, ref logps, d/dpolicy)."""
    leaf_RV = policy_RV.detach().to(dtype or policy_RV.dtype).clone().requires_grad_()
    out = token_logratio_definition(leaf_RV, labels_R, mask_R, ref_logits_RV=ref_RV.to(leaf_RV.dtype))
    torch.autograd.backward(out[:2], [g.to(out[0].dtype) for g in grads])
    return [o.detach() for o in out] + [leaf_RV.grad]


def assert_rows_no_worse_than_eager(rows, before, grad_RV, out) -> None:
    """Compares the given rows: |ours - fp64| <= 2 max |eager - fp64| + a few fp32 roundings."""
    policy_RV, ref_RV, *vectors = [t[rows] for t in before]
    labels_R, mask_R, *grads = vectors
    exact = truth(policy_RV, ref_RV, labels_R, mask_R, grads, torch.float64)
    eager = truth(policy_RV, ref_RV, labels_R, mask_R, grads)
    mine = [o.detach()[rows] for o in out] + [grad_RV[rows]]
    for name, m, e, t in zip([*TokenLogRatio._fields, "gradient"], mine, eager, exact, strict=True):
        allowed = 2 * (e.double() - t).abs().max() + 8 * torch.finfo(torch.float32).eps * t.abs().max().clamp(min=1)
        worst = (m.double() - t).abs().max()
        assert worst <= allowed, f"{name}: off by {worst:.3g}, allowed {allowed:.3g}"


def run(policy_RV, ref_RV, labels_R, mask_R, *grads, **options):
    """(outputs, gradient of the policy's logits); consumes them unless inplace_backward=False."""
    leaf_RV = policy_RV.detach().requires_grad_()
    out = token_logratio(
        leaf_RV, labels_R, mask_R, ref_logits_RV=ref_RV, backend="triton", **{"statistics": True, **options}
    )
    return out, torch.autograd.grad(out[:2], leaf_RV, grads)[0]


def test_auto_is_triton_on_a_gpu():
    assert resolve_backend("auto", "cuda") == "triton"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize(
    ("R", "V"), [(1, 1), (5, 7), (33, 1000), (17, SMOL_V + 3), (64, SMOL_V), (16, QWEN_V), (3, 262_144)]
)
def test_every_shape_and_dtype_is_as_close_to_fp64_as_eager_torch(R, V, dtype):
    data = make(R, V, dtype, density=0.7)
    out, grad_RV = run(*data, inplace_backward=False)
    assert_rows_no_worse_than_eager(slice(None), data, grad_RV, out)


@pytest.mark.parametrize("density", [1.0, 0.1])
def test_a_real_step_in_place_at_both_densities(density):
    need_gib(24)
    data = make(8192, QWEN_V, density=density)
    sample = torch.randperm(8192, device="cuda")[:64]
    before = [t[sample].clone() for t in data]
    out, grad_RV = run(*data)
    assert grad_RV.data_ptr() == data[0].data_ptr()
    assert_rows_no_worse_than_eager(slice(None), before, grad_RV[sample], [o.detach()[sample] for o in out])
    masked_R = data[3] == 0
    assert masked_R.float().mean().item() == pytest.approx(1 - density, abs=0.05)
    assert not grad_RV[masked_R][:512].any()
    assert all((o[masked_R] == 0).all() for o in out)


def test_rows_beyond_two_to_the_31_elements_are_right():
    need_gib(24)
    R = 16_384
    assert R * QWEN_V > 2**31
    data = make(R, QWEN_V)
    rows = torch.tensor([0, 1, 7000, 14_132, 14_133, 14_134, 14_135, 16_000, R - 1], device="cuda")
    before = [t[rows].clone() for t in data]
    out, grad_RV = run(*data)
    assert_rows_no_worse_than_eager(slice(None), before, grad_RV[rows], [o.detach()[rows] for o in out])


def test_strided_rows_are_read_and_written_in_place_and_their_neighbours_left_alone():
    data = make(64, 2 * SMOL_V)
    wide_RV, wide_ref_RV, labels_R, mask_R, *grads = data
    labels_R = labels_R % SMOL_V
    before_RV = wide_RV.clone()
    views = [wide_RV[:, SMOL_V:], wide_ref_RV[:, :SMOL_V]]
    before = [before_RV[:, SMOL_V:], views[1], labels_R, mask_R, *grads]
    out, grad_RV = run(*views, labels_R, mask_R, *grads)
    assert grad_RV.stride() == (2 * SMOL_V, 1)
    assert torch.equal(wide_RV[:, :SMOL_V], before_RV[:, :SMOL_V])
    assert_rows_no_worse_than_eager(slice(None), before, wide_RV[:, SMOL_V:], out)


def test_transposed_logits_are_read_by_their_strides():
    policy_RV, ref_RV, *rest = make(33, 5000)
    data = [policy_RV.T.contiguous().T, ref_RV.T.contiguous().T, *rest]
    out, grad_RV = run(*data, inplace_backward=False)
    assert_rows_no_worse_than_eager(slice(None), data, grad_RV, out)


def test_masked_rows_are_never_read_and_a_masked_vocabulary_makes_no_nan():
    data = make(64, 20_000, density=0.5)
    policy_RV, ref_RV, labels_R, mask_R, *_ = data
    policy_RV[:, :9000], ref_RV[:, :9000] = -float("inf"), -float("inf")  # two whole tiles
    labels_R.copy_(labels_R.where(mask_R == 0, labels_R % 9000 + 9000))
    policy_RV[mask_R == 0], ref_RV[mask_R == 0] = float("nan"), float("nan")
    out, grad_RV = run(*data, inplace_backward=False)
    assert all(o.isfinite().all() for o in [*out, grad_RV])
    assert not grad_RV[mask_R == 0].any()
    live = (mask_R != 0).nonzero()[:, 0]
    assert_rows_no_worse_than_eager(live, data, grad_RV, out)


def test_a_label_outside_the_vocabulary_of_a_live_row_gives_nan_and_reads_nothing():
    policy_RV, ref_RV, labels_R, *_ = make(4, 1000)
    labels_R[1], labels_R[2] = -100, 2**40
    out = token_logratio(policy_RV, labels_R, torch.ones(4, device="cuda"), ref_logits_RV=ref_RV, backend="triton")
    assert out.logratio_R.isnan().tolist() == [False, True, True, False]


def test_two_runs_agree_bit_for_bit():
    data = make(256, QWEN_V, density=0.5)
    (out_a, grad_a), (out_b, grad_b) = (run(*data, inplace_backward=False) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip([*out_a, grad_a], [*out_b, grad_b], strict=True))


def test_stored_reference_logps_give_the_same_as_reference_logits():
    policy_RV, ref_RV, labels_R, mask_R, *_ = make(64, SMOL_V, density=0.5)
    live = token_logratio(policy_RV, labels_R, mask_R, ref_logits_RV=ref_RV)
    cached = token_logratio(policy_RV, labels_R, mask_R, ref_logps_R=live.ref_logps_R)
    torch.testing.assert_close(cached.logratio_R, live.logratio_R, atol=1e-5, rtol=0)


@pytest.mark.parametrize("density", [1.0, 0.1])
def test_no_memory_is_taken_but_a_few_numbers_per_row(density):
    need_gib(24)
    R = 8192
    data = make(R, QWEN_V, density=density)
    run(*data)  # compiled, and the caches of torch filled
    gc.collect()
    torch.cuda.synchronize()
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    out_and_grad = run(*data)
    torch.cuda.synchronize()
    extra = torch.cuda.max_memory_allocated() - held
    assert out_and_grad[1].data_ptr() == data[0].data_ptr()
    assert extra < 128 * R, f"{extra} bytes for {R} rows"


def test_the_chunked_torch_backend_agrees_on_a_gpu_too():
    policy_RV, ref_RV, labels_R, mask_R, *grads = make(600, QWEN_V, density=0.5)
    before = [t[:64].clone() for t in (policy_RV, ref_RV, labels_R, mask_R, *grads)]
    leaf_RV = policy_RV.requires_grad_()
    out = token_logratio(leaf_RV, labels_R, mask_R, ref_logits_RV=ref_RV, backend="torch", statistics=True)
    (grad_RV,) = torch.autograd.grad(out[:2], leaf_RV, grads)
    assert_rows_no_worse_than_eager(slice(None), before, grad_RV[:64], [o.detach()[:64] for o in out])
