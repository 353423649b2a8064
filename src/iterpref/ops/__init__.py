"""Log-probabilities and log-ratios of scored tokens.

    token_logratio    from logits                       logits.py
    linear_logratio   from hidden states, head fused in  linear.py
    sequence_sum      rows -> the K of a sequence

`reference.py` holds the equations and the CPU's backend, `logratio.py` the Triton kernels, `backend.py` chooses.
"""

from iterpref.ops.backend import resolve_backend
from iterpref.ops.linear import linear_logratio
from iterpref.ops.logits import sequence_sum, token_logratio
from iterpref.ops.reference import LogitMap, TokenLogRatio, linear_logratio_definition, token_logratio_definition

__all__ = [
    "LogitMap",
    "TokenLogRatio",
    "linear_logratio",
    "linear_logratio_definition",
    "resolve_backend",
    "sequence_sum",
    "token_logratio",
    "token_logratio_definition",
]
