"""Rows summed to sequences."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.ops import sequence_sum

from .cases import INF


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
