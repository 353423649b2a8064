"""`token_logratio`: from the logits of scored tokens to log pi(y | x) - log pi_ref(y | x), with autograd."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from iterpref.ops.backend import row_operations
from iterpref.ops.checks import check_logits
from iterpref.ops.reference import TokenLogRatio, row_gradient


def token_logratio(
    policy_logits_RV: Tensor,
    labels_R: Tensor,
    mask_R: Tensor,
    *,
    ref_logits_RV: Tensor | None = None,
    ref_logps_R: Tensor | None = None,
    statistics: bool = False,
    backend: str = "auto",
    inplace_backward: bool = True,
) -> TokenLogRatio:
    """`mask * (log_softmax(policy_logits)[label] - log_softmax(ref_logits)[label])`, in fp32, each logit read once.

    policy_logits_RV   [R, V] bf16, fp16, fp32 or (torch only) fp64, any strides. Gradient flows here through `logratio_R`
                       and through `policy_logps_R`. With `inplace_backward` the backward pass overwrites this tensor with
                       its gradient: no memory of size [R, V] is taken, and the values are gone. Autograd raises if another
                       operation saved them for its own backward pass, or if backward runs a second time.
    labels_R           [R] integers in [0, V); any value where the mask is 0. Outside that range on a live row: a
                       `UserError` on the CPU, NaN on a GPU.
    mask_R             [R] bool or float. 0 skips the row: its logits are never read, its outputs and gradient are 0.
                       Any other number m weighs the log-ratio, not `policy_logps_R`. Takes no gradient.
    ref_logits_RV      [R, V], or
    ref_logps_R        [R], the reference's log-probs of the labels, computed earlier. Exactly one of the two; neither
                       takes gradient.
    statistics         also `entropy_R` and `top1_R` of the policy, from the same reading of the logits.
    backend            `auto`, `triton` or `torch`: see `resolve_backend`.

    The gradient has a row for every row of logits: those of masked rows are zeros that must be written. To pay for
    scored rows only, leave the others out before the head: `linear_logratio` does.

    A second derivative is refused by autograd. Raises `ValueError` for shapes, dtypes or devices that do not fit.
    """
    check_logits(policy_logits_RV, labels_R, mask_R, ref_logits_RV, ref_logps_R)
    (R, V), (row_stride, column_stride) = policy_logits_RV.shape, policy_logits_RV.stride()
    if inplace_backward and ((R > 1 and row_stride == 0) or (V > 1 and column_stride == 0)):
        raise ValueError("policy_logits_RV is an expanded tensor, one value standing for many: inplace_backward=False")
    rows = row_operations(backend, policy_logits_RV.device, policy_logits_RV.dtype)
    weights_R = mask_R.to(torch.promote_types(policy_logits_RV.dtype, torch.float32))
    return TokenLogRatio(
        *_TokenLogRatioFunction.apply(
            policy_logits_RV, labels_R.long(), weights_R, ref_logits_RV, ref_logps_R, rows, statistics, inplace_backward
        )
    )


def sequence_sum(values_R: Tensor, weights_R: Tensor, sequence_R: Tensor, n_sequences: int) -> Tensor:
    """K_s = sum of w_r * value_r over the rows r of sequence s: `zeros(S).index_add(0, sequence, weights * values)`.

    [S] fp32. Bitwise repeatable: a masked sum instead of atomic additions, at S x R numbers of memory, which is small
    beside one row block of logits. A weight of 0 leaves the row out even where its value is -inf.
    """
    sequences_S = torch.arange(n_sequences, device=sequence_R.device)
    member_SR = (sequence_R == sequences_S[:, None]) & (weights_R != 0)
    return (weights_R.float() * values_R.float()).where(member_SR, 0).sum(dim=1)


class _TokenLogRatioFunction(torch.autograd.Function):
    """One autograd for both backends; `rows` is the module with `forward_rows` and `backward_rows`."""

    @staticmethod
    def forward(
        ctx: Any,
        policy_logits_RV: Tensor,
        labels_R: Tensor,
        mask_R: Tensor,
        ref_logits_RV: Tensor | None,
        ref_logps_R: Tensor | None,
        rows: ModuleType,
        statistics: bool,
        inplace: bool,
    ) -> tuple[Tensor | None, ...]:
        result, lse_R = rows.forward_rows(
            policy_logits_RV, labels_R, mask_R, ref_logits_RV, ref_logps_R, statistics=statistics
        )
        ctx.save_for_backward(policy_logits_RV, labels_R, mask_R, lse_R)
        ctx.rows, ctx.inplace = rows, inplace
        ctx.mark_non_differentiable(*(output for output in result[2:] if output is not None))
        ctx.set_materialize_grads(False)
        return tuple(result)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_logratio_R: Tensor | None, grad_logps_R: Tensor | None, *_: None
    ) -> tuple[Tensor | None, ...]:
        no_gradient = (None,) * 7
        if grad_logratio_R is None and grad_logps_R is None:
            return None, *no_gradient
        logits_RV, labels_R, mask_R, lse_R = ctx.saved_tensors
        # Detached: the gradient shares the logits' memory, not their place in the graph.
        out_RV = logits_RV.detach() if ctx.inplace else torch.empty_like(logits_RV)
        grad_R = row_gradient(mask_R, grad_logratio_R, grad_logps_R)
        ctx.rows.backward_rows(logits_RV.detach(), labels_R, lse_R, grad_R, out_RV)
        if ctx.inplace:
            # A kernel writes behind autograd's back; without this, whoever saved the logits would read gradients.
            torch.autograd.graph.increment_version(logits_RV)
        return out_RV, *no_gradient
