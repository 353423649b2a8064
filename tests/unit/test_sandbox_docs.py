"""What the documentation says of the sandbox is what the code says."""

from __future__ import annotations

from pathlib import Path

from iterpref.codeflow.sandbox.coverage import NOT_COVERED

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_the_page_lists_all_that_each_tier_does_not_cover() -> None:
    text = " ".join(PAGE.read_text().split())
    missing = [sentence for sentences in NOT_COVERED.values() for sentence in sentences if sentence not in text]
    assert missing == []
