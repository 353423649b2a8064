"""JSON of other people has one meaning or is refused; JSON of ours is whole or named with the way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iterpref.errors import UserError
from iterpref.strict_json import loads, read_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_has_one_meaning_is_read_as_json_reads_it(value: Any) -> None:
    text = json.dumps(value)
    assert loads(text) == json.loads(text) == value


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"a": 1, "b": 2, "a": 1}', "'a' stands twice"),
        ('[{"x": {"b": 1, "b": 2}}]', "'b' stands twice"),
        ("\ufeff{}", "BOM"),
        ("{} {}", "Extra data"),
        ("{'a': 1}", "double quotes"),
    ],
)
def test_what_has_none_is_named(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        loads(text)


def test_integers_without_end_are_read_as_floats() -> None:
    assert loads(f"[{'9' * 5000}, -{'9' * 5000}, {10**30}]") == [float("inf"), float("-inf"), 10**30]


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"[]", b'{"a": "\xff"}'])
def test_a_damaged_file_of_ours_is_named_with_its_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.json .*it was damaged: delete it"):
        read_object(tmp_path / "x.json", "delete it")
