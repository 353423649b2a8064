"""Backends, and arguments that do not fit."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from iterpref import ops
from iterpref.errors import UserError
from iterpref.ops import backend, token_logratio

from .cases import INTERPRETED, ours


def test_the_backend_is_torch_on_the_cpu_and_triton_only_where_it_can_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(backend, "triton_imports", lambda: True)
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
    monkeypatch.setattr(backend, "triton_imports", lambda: False)
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
        ({"policy_logits_RV": torch.zeros(3, 4, dtype=torch.int8)}, "bfloat16, float16, float32 or float64"),
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
