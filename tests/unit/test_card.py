"""The card of an export: what anybody's words become in it."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa

from iterpref.codeflow.card import _provenance


def test_a_pipe_in_the_name_of_a_source_does_not_break_the_table() -> None:
    rows = pa.table({"source": ["a|b", "a|b"], "license": ["mit", "mit"], "task_id": ["1", "2"]})
    trajectories = SimpleNamespace(
        fingerprint="0" * 16, manifest={"config": {"generator": {"name": "mutate"}}}, load=lambda table, columns: rows
    )
    assert "\n| a\\|b | mit | 2 |\n" in _provenance({"fingerprint": "1" * 16}, trajectories)
