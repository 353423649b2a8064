"""The log-ratio of one scored token: its definition, and the same thing in chunks for the CPU (backend `torch`).

    z_r     = the policy's logits; from a head: a_r = W h_r, z_r = cap tanh(scale (a_r + b) / cap)
    logp_r  = z_r[y_r] - logsumexp(z_r)            y = labels
    ref_r   = the same from the reference's logits, or a number computed earlier
    ratio_r = m_r (logp_r - ref_r)                 m = mask: 0 skips the row, any other number weighs it

    d/dz_r[v] = g_r (1[v = y_r] - softmax(z_r)[v]),     g_r = m_r d/dratio_r + d/dlogp_r
    d/da_r[v] = d/dz_r[v] scale (1 - (z_r[v] / cap)^2)

    entropy_r = logsumexp(z_r) - sum_v softmax(z_r)[v] z_r[v]
    top1_r    = no token is more likely than y_r

Shapes: R rows of logits, one per scored token; L of them live (mask not zero); T positions, H hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Working copy of one chunk of rows. On a CPU it should stay in the last-level cache, for every chunk is swept several
# times; on a GPU it only bounds the extra memory.
_CPU_CHUNK_BYTES = 4 * 2**20
_GPU_CHUNK_BYTES = 256 * 2**20


class TokenLogRatio(NamedTuple):
    """Tensors of shape [R], fp32 (fp64 from fp64 logits); all are 0 where the mask is 0."""

    logratio_R: Tensor  # m_r (logp_r - ref_r); carries gradient
    policy_logps_R: Tensor  # logp_r, without m_r; carries gradient
    ref_logps_R: Tensor  # ref_r; no gradient
    entropy_R: Tensor | None = None  # of the policy, in nats; no gradient; only if asked for
    top1_R: Tensor | None = None  # 1 where no token is more likely than the label; only if asked for


class LogitMap(NamedTuple):
    """From the head's product a to the logits: `z = softcap * tanh(scale * (a + bias) / softcap)`; no cap if None."""

    scale: float = 1.0
    softcap: float | None = None
    bias_V: Tensor | None = None

    @property
    def is_identity(self) -> bool:
        return self.bias_V is None and self.scale == 1 and self.softcap is None

    def logits(self, products_RV: Tensor) -> Tensor:
        z_RV = products_RV if self.bias_V is None else products_RV + self.bias_V.to(products_RV.dtype)
        z_RV = z_RV if self.scale == 1 else z_RV * self.scale
        return z_RV if self.softcap is None else (z_RV / self.softcap).tanh() * self.softcap


IDENTITY = LogitMap()


def token_logratio_definition(
    policy_logits_RV: Tensor,
    labels_R: Tensor,
    mask_R: Tensor,
    *,
    ref_logits_RV: Tensor | None = None,
    ref_logps_R: Tensor | None = None,
    statistics: bool = True,
) -> TokenLogRatio:
    """The equations above in plain torch and autograd: what every backend is compared with, at full memory cost.

    Computes in fp32, or in fp64 where the logits are fp64. Exactly one of `ref_logits_RV` and `ref_logps_R`.
    """
    live_R = mask_R != 0
    # A masked row may carry any label, -100 included: it must never index.
    index_R = labels_R.where(live_R, 0)[:, None]
    z_RV = wide(policy_logits_RV)
    label_logits_R = z_RV.gather(1, index_R)[:, 0]
    policy_logps_R = (label_logits_R - z_RV.logsumexp(1)).where(live_R, 0)
    if ref_logits_RV is not None:
        ref_z_RV = wide(ref_logits_RV)
        reference_R = ref_z_RV.gather(1, index_R)[:, 0] - ref_z_RV.logsumexp(1)
    else:
        assert ref_logps_R is not None
        reference_R = ref_logps_R
    reference_R = reference_R.detach().to(policy_logps_R.dtype).where(live_R, 0)
    logratio_R = (mask_R * (policy_logps_R - reference_R)).where(live_R, 0)
    if not statistics:
        return TokenLogRatio(logratio_R, policy_logps_R, reference_R)
    with torch.no_grad():
        softmax_RV = z_RV.softmax(1)
        entropy_R = -torch.special.xlogy(softmax_RV, softmax_RV).sum(1).where(live_R, 0)
        top1_R = (label_logits_R >= z_RV.amax(1)).to(z_RV.dtype).where(live_R, 0)
    return TokenLogRatio(logratio_R, policy_logps_R, reference_R, entropy_R, top1_R)


def linear_logratio_definition(
    hidden_TH: Tensor,
    weight_VH: Tensor,
    rows_R: Tensor,
    labels_R: Tensor,
    *,
    mask_R: Tensor,
    ref_logps_R: Tensor,
    head: LogitMap = IDENTITY,
    statistics: bool = True,
) -> TokenLogRatio:
    """`token_logratio_definition(map(hidden[rows] @ weight.T), labels, mask)`, with logits in the dtype of `hidden_TH`."""
    logits_RV = head.logits(wide(F.linear(hidden_TH[rows_R], weight_VH)))
    return token_logratio_definition(logits_RV, labels_R, mask_R, ref_logps_R=ref_logps_R, statistics=statistics)


def wide(tensor: Tensor) -> Tensor:
    """The tensor in fp32, or in fp64 if it is that; not a copy if there is nothing to do."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def row_gradient(mask_R: Tensor, grad_logratio_R: Tensor | None, grad_logps_R: Tensor | None) -> Tensor:
    """g_r = m_r d/dratio_r + d/dlogp_r, and exactly 0 on masked rows, whatever comes in (0 * inf would be NaN)."""
    grad_R = torch.zeros_like(mask_R)
    if grad_logratio_R is not None:
        grad_R = grad_R + mask_R * grad_logratio_R
    if grad_logps_R is not None:
        grad_R = grad_R + grad_logps_R
    return grad_R.where(mask_R != 0, 0)


def forward_rows(
    logits_RV: Tensor,
    labels_R: Tensor,
    mask_R: Tensor,
    ref_logits_RV: Tensor | None,
    ref_logps_R: Tensor | None,
    *,
    head: LogitMap = IDENTITY,
    label_products_R: Tensor | None = None,
    statistics: bool = False,
) -> tuple[TokenLogRatio, Tensor]:
    """`token_logratio_definition` without autograd, a chunk of live rows at a time; also logsumexp of the policy, [R].

    head               not the identity: `logits_RV` are the head's products
    label_products_R   the label's product, known more exactly than `logits_RV` holds it, and taken in its place
    Neither reference: ref_r = 0.

    Listing the live rows waits for the device: on a GPU this backend is for comparison, not for speed.
    """
    live_L = mask_R.nonzero()[:, 0]
    logps_R, lse_R, entropy_R, top1_R = _sweep(logits_RV, labels_R, live_L, head, label_products_R, statistics)
    if ref_logits_RV is not None:
        reference_R = _sweep(ref_logits_RV, labels_R, live_L, IDENTITY, None, False)[0]
    elif ref_logps_R is not None:
        reference_R = ref_logps_R.to(logps_R.dtype).where(mask_R != 0, 0)
    else:
        reference_R = torch.zeros_like(logps_R)
    logratio_R = (mask_R * (logps_R - reference_R)).where(mask_R != 0, 0)
    return TokenLogRatio(logratio_R, logps_R, reference_R, entropy_R, top1_R), lse_R


def backward_rows(
    logits_RV: Tensor,
    labels_R: Tensor,
    lse_R: Tensor,
    grad_R: Tensor,
    out_RV: Tensor,
    *,
    head: LogitMap = IDENTITY,
    label_products_R: Tensor | None = None,
) -> None:
    """out_r = d/da_r of the equations above; rows with g_r = 0 become zero. `out_RV` may be `logits_RV`.

    `logits_RV` may be some columns of the vocabulary: a label outside of them is no column's.
    """
    live_L = grad_R.nonzero()[:, 0]
    if len(live_L) < len(grad_R):
        out_RV.index_fill_(0, (grad_R == 0).nonzero()[:, 0], 0)
    inplace = out_RV.data_ptr() == logits_RV.data_ptr() and out_RV.dtype == lse_R.dtype
    for rows in _chunks(live_L, logits_RV):
        grad_L = grad_R[rows]
        index_L1, known_L1 = _label_index(labels_R[rows], logits_RV.shape[1])
        work_LV = _logits(logits_RV, rows, labels_R, head, label_products_R)
        if not inplace and work_LV.data_ptr() == logits_RV[rows].data_ptr():
            work_LV = work_LV.clone()
        slope_LV = head.scale if head.softcap is None else head.scale * (1 - (work_LV / head.softcap).square())
        work_LV.sub_(lse_R[rows, None]).exp_().mul_(-grad_L[:, None])
        work_LV.scatter_add_(1, index_L1, grad_L[:, None].where(known_L1, 0))
        if not head.is_identity:
            work_LV.mul_(slope_LV)
        if work_LV.data_ptr() != out_RV[rows].data_ptr():
            out_RV[rows] = work_LV.to(out_RV.dtype)


def label_products(hidden_RH: Tensor, weight_VH: Tensor, labels_R: Tensor, mask_R: Tensor) -> Tensor:
    """`(hidden.float() * weight[labels].float()).sum(1)`, [R] fp32: the label's product, not rounded to half."""
    index_R = labels_R.where(mask_R != 0, 0)
    known_R = (index_R >= 0) & (index_R < weight_VH.shape[0])
    rows_RH = weight_VH.index_select(0, index_R.where(known_R, 0))
    return (hidden_RH.float() * rows_RH.float()).sum(1).where(known_R, float("nan"))


def _sweep(
    logits_RV: Tensor,
    labels_R: Tensor,
    live_L: Tensor,
    head: LogitMap,
    label_products_R: Tensor | None,
    statistics: bool,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """(log-prob of the label, logsumexp, entropy, top-1), [R], 0 on dead rows."""
    wide_dtype = torch.promote_types(logits_RV.dtype, torch.float32)
    logps_R, lse_R = torch.zeros(2, len(labels_R), dtype=wide_dtype, device=logits_RV.device).unbind()
    entropy_R, top1_R = (torch.zeros_like(logps_R) if statistics else None for _ in range(2))
    for rows in _chunks(live_L, logits_RV):
        chunk_LV = _logits(logits_RV, rows, labels_R, head, label_products_R)
        index_L1, known_L1 = _label_index(labels_R[rows], logits_RV.shape[1])
        label_logits_L = chunk_LV.gather(1, index_L1).where(known_L1, float("nan"))[:, 0]
        lse_R[rows] = lse_L = chunk_LV.logsumexp(1)
        logps_R[rows] = label_logits_L - lse_L
        if entropy_R is not None and top1_R is not None:
            softmax_LV = chunk_LV.softmax(1)
            entropy_R[rows] = -torch.special.xlogy(softmax_LV, softmax_LV).sum(1)
            top1_R[rows] = (label_logits_L >= chunk_LV.amax(1)).to(wide_dtype)
    return logps_R, lse_R, entropy_R, top1_R


def _label_index(labels_L: Tensor, V: int) -> tuple[Tensor, Tensor]:
    """(the labels, 0 in place of one outside [0, V); which are inside), [L, 1]"""
    known_L = (labels_L >= 0) & (labels_L < V)
    return labels_L.where(known_L, 0)[:, None], known_L[:, None]


def _chunks(rows_L: Tensor, logits_RV: Tensor) -> Iterator[slice | Tensor]:
    """The rows in pieces; as slices, which cost no copy, if they are all rows of the logits."""
    budget = _CPU_CHUNK_BYTES if logits_RV.device.type == "cpu" else _GPU_CHUNK_BYTES
    R, V = logits_RV.shape
    size = max(1, budget // (4 * V))
    if len(rows_L) == R:
        yield from (slice(start, min(start + size, R)) for start in range(0, R, size))
    else:
        yield from rows_L.split(size)


def _logits(
    logits_RV: Tensor, rows: slice | Tensor, labels_R: Tensor, head: LogitMap, label_products_R: Tensor | None
) -> Tensor:
    """The logits of the rows, fp32 or fp64: of `logits_RV` itself if nothing has to be changed, else a copy."""
    chunk_LV = wide(logits_RV[rows]).contiguous()  # sums then run in one order, whatever the strides
    if label_products_R is not None:
        index_L1, known_L1 = _label_index(labels_R[rows], logits_RV.shape[1])
        exact_L1 = label_products_R[rows, None].where(known_L1, chunk_LV.gather(1, index_L1))
        chunk_LV = chunk_LV.scatter(1, index_L1, exact_L1)
    return head.logits(chunk_LV)
