"""The log-ratio of one scored token: its definition, and the same thing in chunks for the CPU (backend `torch`).

    logp_r  = z_r[y_r] - logsumexp(z_r)            z = the policy's logits, y = labels
    ref_r   = the same from the reference's logits, or a number computed earlier
    ratio_r = m_r (logp_r - ref_r)                 m = mask: 0 skips the row, any other number weighs it

    d/dz_r[v] = g_r (1[v = y_r] - softmax(z_r)[v]),     g_r = m_r d/dratio_r + d/dlogp_r

Shapes: R rows of logits, one per scored token; L of them live (mask not zero); V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# fp32 working copy of one chunk of rows. On a CPU it should stay in the last-level cache, for every chunk is swept
# several times; on a GPU it only bounds the extra memory.
_CPU_CHUNK_BYTES = 4 * 2**20
_GPU_CHUNK_BYTES = 256 * 2**20


class TokenLogRatio(NamedTuple):
    """Three fp32 tensors of shape [R]; all are 0 where the mask is 0."""

    logratio_R: Tensor  # m_r (logp_r - ref_r); carries gradient
    policy_logps_R: Tensor  # logp_r, without m_r; carries gradient
    ref_logps_R: Tensor  # ref_r; no gradient


def token_logratio_definition(
    policy_logits_RV: Tensor,
    labels_R: Tensor,
    mask_R: Tensor,
    *,
    ref_logits_RV: Tensor | None = None,
    ref_logps_R: Tensor | None = None,
) -> TokenLogRatio:
    """The equations above in plain torch and autograd: what every backend is compared with, at full memory cost.

    Computes in fp32, or in fp64 where the logits are fp64. Exactly one of `ref_logits_RV` and `ref_logps_R`.
    """
    live_R = mask_R != 0
    # A masked row may carry any label, -100 included: it must never index.
    index_R = labels_R.where(live_R, 0)[:, None]

    def logps(logits_RV: Tensor) -> Tensor:
        wide_RV = logits_RV.to(torch.promote_types(logits_RV.dtype, torch.float32))
        return wide_RV.gather(1, index_R)[:, 0] - wide_RV.logsumexp(1)

    policy_logps_R = logps(policy_logits_RV).where(live_R, 0)
    reference_R = logps(ref_logits_RV) if ref_logits_RV is not None else ref_logps_R
    assert reference_R is not None
    reference_R = reference_R.detach().to(policy_logps_R.dtype).where(live_R, 0)
    logratio_R = (mask_R * (policy_logps_R - reference_R)).where(live_R, 0)
    return TokenLogRatio(logratio_R, policy_logps_R, reference_R)


def forward_rows(
    policy_logits_RV: Tensor,
    labels_R: Tensor,
    mask_R: Tensor,
    ref_logits_RV: Tensor | None,
    ref_logps_R: Tensor | None,
) -> tuple[TokenLogRatio, Tensor]:
    """`token_logratio_definition` without autograd, a chunk of live rows at a time; also logsumexp of the policy, [R].

    Listing the live rows waits for the device: on a GPU this backend is for comparison, not for speed.
    """
    live_L = mask_R.nonzero()[:, 0]
    policy_logps_R, lse_R = _logps_and_lse(policy_logits_RV, labels_R, live_L)
    if ref_logits_RV is not None:
        reference_R, _ = _logps_and_lse(ref_logits_RV, labels_R, live_L)
    else:
        assert ref_logps_R is not None
        reference_R = ref_logps_R.float().where(mask_R != 0, 0)
    logratio_R = (mask_R * (policy_logps_R - reference_R)).where(mask_R != 0, 0)
    return TokenLogRatio(logratio_R, policy_logps_R, reference_R), lse_R


def backward_rows(logits_RV: Tensor, labels_R: Tensor, lse_R: Tensor, grad_R: Tensor, out_RV: Tensor) -> None:
    """out_r = g_r (onehot(y_r) - exp(z_r - lse_r)); rows with g_r = 0 become zero. `out_RV` may be `logits_RV`."""
    out_RV.index_fill_(0, (grad_R == 0).nonzero()[:, 0], 0)
    for rows in _chunks(grad_R.nonzero()[:, 0], logits_RV):
        grad_L = grad_R[rows, None]
        work_LV = _fp32_rows(logits_RV, rows)
        work_LV.sub_(lse_R[rows, None]).exp_().mul_(-grad_L)
        work_LV.scatter_add_(1, labels_R[rows, None], grad_L)
        out_RV.index_copy_(0, rows, work_LV.to(out_RV.dtype))


def _logps_and_lse(logits_RV: Tensor, labels_R: Tensor, live_L: Tensor) -> tuple[Tensor, Tensor]:
    logps_R = torch.zeros(len(labels_R), dtype=torch.float32, device=logits_RV.device)
    lse_R = torch.zeros_like(logps_R)
    for rows in _chunks(live_L, logits_RV):
        chunk_LV = _fp32_rows(logits_RV, rows)
        lse_L = chunk_LV.logsumexp(1)
        logps_R[rows] = chunk_LV.gather(1, labels_R[rows, None])[:, 0] - lse_L
        lse_R[rows] = lse_L
    return logps_R, lse_R


def _chunks(rows_L: Tensor, logits_RV: Tensor) -> tuple[Tensor, ...]:
    budget = _CPU_CHUNK_BYTES if logits_RV.device.type == "cpu" else _GPU_CHUNK_BYTES
    return rows_L.split(max(1, budget // (4 * logits_RV.shape[1])))


def _fp32_rows(logits_RV: Tensor, rows_L: Tensor) -> Tensor:
    """A copy, also of fp32 rows: the caller works in it."""
    return logits_RV.index_select(0, rows_L).float()
