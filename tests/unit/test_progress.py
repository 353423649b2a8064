"""Progress: the items pass unchanged, and a log without a terminal gets lines, not a bar."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest

from iterpref import progress
from iterpref.progress import track


@pytest.fixture(params=[True, False], ids=["terminal", "log"])
def _terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: request.param, raising=False)


@pytest.mark.usefixtures("_terminal")
@pytest.mark.parametrize("items", [[], [1], [1, 2, 3]])
def test_every_item_comes_through_in_order(items: list[int]) -> None:
    assert list(track(iter(items), len(items), "work")) == items


@pytest.mark.usefixtures("_terminal")
def test_an_error_of_the_work_comes_through() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    seen: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        seen.extend(track(failing(), 3, "work"))
    assert seen == [1]


def lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, seconds: list[float]) -> list[str]:
    """The log of work whose clock stands at `seconds`: at the start, then after each item."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    clock = iter(seconds)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, "iterpref.progress"):
        list(track(range(len(seconds) - 1), len(seconds) - 1, "work"))
    return [record.getMessage() for record in caplog.records]


def test_quick_work_ends_with_one_line(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    assert lines(monkeypatch, caplog, [0.0, 0.1, 0.2, 0.3]) == ["work: 3 of 3 (0 s)"]


def test_long_work_has_a_line_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said = lines(monkeypatch, caplog, [100.0, 109.0, 111.0, 120.0, 122.0, 123.0])
    assert said == ["work: 2 of 5 (11 s)", "work: 4 of 5 (22 s)", "work: 5 of 5 (23 s)"]


def test_no_work_says_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    assert lines(monkeypatch, caplog, [0.0]) == []
