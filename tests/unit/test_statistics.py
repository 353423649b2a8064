"""Counts over trajectories, and the tables of the report that they become."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from iterpref.codeflow.statistic_tables import costs, tables
from iterpref.codeflow.statistics import Counts
from iterpref.reporting.charts import charts
from iterpref.schema import Attempt, LlmCall, RefusedAnswer, SourceFile, Statistic, TestSuite, Trajectory, Verdict

CALL = LlmCall("author", "m", "{}", "k", 10, 5, 0.5)
SUITE = TestSuite((SourceFile("t.py", "x"),), "unittest", 1, 1.0)


def trajectory(
    status: str, *verdicts: tuple[Verdict, str], refused: tuple[RefusedAnswer, ...] = (), coverage: float | None = 1.0
) -> Trajectory:
    attempts = tuple(Attempt(i, None, (), "", v, detail, 0, 0, llm=CALL) for i, (v, detail) in enumerate(verdicts))
    return Trajectory(
        "t#0",
        "t",
        "p",
        "",
        "",
        "lists",
        "train",
        replace(SUITE, coverage=coverage),
        attempts,
        status,
        0,
        refused=refused,
    )


def counted(*trajectories: Trajectory) -> Counts:
    counts = Counts(2)
    for t in trajectories:
        counts.see(t)
    return counts


ROWS = (
    trajectory("solved", (Verdict.ERROR, "TypeError"), (Verdict.PASS, "")),
    trajectory("solved_at_once", (Verdict.PASS, ""), coverage=0.45),
    trajectory(
        "unsolved", (Verdict.TIMEOUT, "CPU time"), (Verdict.FAIL, "T.test_a"), (Verdict.FAIL, "T.test_a"), coverage=None
    ),
    trajectory("refused", refused=(RefusedAnswer(0, "no_code", "", CALL), RefusedAnswer(0, "context_length", ""))),
)


def test_statistics_by_hand() -> None:
    counts = counted(*ROWS)
    assert counts.pass_rate() == [0.25, 0.5, 0.5]
    assert list(counts.statistics()) == [
        Statistic("answers", 0, "author", 4), Statistic("answers", 1, "author", 2), Statistic("answers", 2, "author", 1),
        Statistic("category", -1, "lists", 4),
        Statistic("coverage", -1, "0.4", 1), Statistic("coverage", -1, "0.9", 2),
        Statistic("error", 0, "CPU time", 1), Statistic("error", 0, "TypeError", 1),
        Statistic("refused", 0, "context_length", 1), Statistic("refused", 0, "no_code", 1),
        *(Statistic("solved", i, "by then", n) for i, n in enumerate((1, 2, 2))),
        *(Statistic("tokens", i, "author", 15 * n) for i, n in enumerate((4, 2, 1))),
        Statistic("verdict", 0, "ERROR", 1), Statistic("verdict", 0, "PASS", 1), Statistic("verdict", 0, "TIMEOUT", 1),
        Statistic("verdict", 1, "FAIL", 1), Statistic("verdict", 1, "PASS", 1), Statistic("verdict", 2, "FAIL", 1),
    ]  # fmt: skip
    llm = counts.of_answers()["llm"]
    assert (llm["answers"], llm["tokens_in"], llm["tokens_out"], llm["cost"]) == (7, 70, 35, 3.5)
    assert (llm["answers_a_mended_program"], llm["cost_a_mended_program"]) == (7.0, 3.5)
    assert llm["refused"] == {"context_length": 1, "no_code": 1}


def test_a_generator_without_answers_has_no_such_counts() -> None:
    bare = replace(ROWS[0], iterations=tuple(replace(a, llm=None) for a in ROWS[0].iterations))
    assert counted(bare).of_answers() == {}
    assert costs({"status": {}}) == ""


def test_the_reports_tables() -> None:
    made = {t.title: t for t in tables(list(counted(*ROWS).statistics()))}
    verdicts = made["Verdicts by iteration"]
    assert verdicts.columns == (0, 1, 2)
    assert dict(verdicts.rows) == {"PASS": (1, 1, 0), "FAIL": (0, 1, 1), "ERROR": (1, 0, 0), "TIMEOUT": (1, 0, 0)}
    assert made["Coverage of programs by their tests"].rows == (("40 % and more", (1,)), ("90 % and more", (2,)))
    many = tables([Statistic("category", -1, f"c{i:02d}", i + 1) for i in range(20)])[0]
    assert (many.rows[0], len(many.rows), many.left_out) == (("c19", (20,)), 12, 8)
    counts = {"status": {"solved": 1}, **counted(*ROWS).of_answers()}
    assert (
        costs(counts)
        == "7 answers of the model, 70 tokens in and 35 out, cost 3.5; 7 answers for each of 1 mended programs."
    )
    assert costs(counts, 2).endswith(" mended programs, 3.5 answers and a cost of 1.75 for each of 2 pairs.")


def test_features_are_counted_once_a_trajectory_by_the_first_names_of_their_path() -> None:
    paths = ("text/parsing/dates", "text/parsing/csv", "graphs/search")
    counts = counted(replace(ROWS[0], features=paths), replace(ROWS[1], features=paths[:1]))
    found = [s for s in counts.statistics() if s.name == "feature"]
    assert found == [Statistic("feature", -1, "graphs/search", 1), Statistic("feature", -1, "text/parsing", 2)]


def test_a_figure_of_some_bars_says_how_many_there_are() -> None:
    kinds = [Statistic("category", -1, f"c{i:02d}", i + 1) for i in range(20)]
    assert [panel.title for panel in charts(kinds)] == ["Kinds of tasks: 10 of 20"]
    assert [panel.title for panel in charts(kinds[:10])] == ["Kinds of tasks"]


def test_the_reports_figures_hold_what_the_tables_hold(caplog: pytest.LogCaptureFixture) -> None:
    rows = [Statistic("verdict", i, v, 10 * i + n) for i in (0, 1) for n, v in enumerate("ABCDEF", 1)]
    rows += [Statistic("coverage", -1, "0.9", 7), Statistic("category", -1, "lists <b>", 3)]
    with caplog.at_level(logging.INFO):
        verdicts, coverage, category = charts(rows)
    assert not caplog.records  # matplotlib doubts numbers that are given as texts
    # The three commonest in colours of their own; the other three together.
    assert [(k.name, k.colour, k.said) for k in verdicts.lines] == [("F", 1, "22"), ("E", 2, "20"), ("D", 3, "18"), ("others", 4, "42")]  # fmt: skip
    assert verdicts.summary == "Verdicts by iteration: F 22; E 20; D 18; others 42"
    assert coverage.summary.endswith("90 % and more 7")
    assert "lists &lt;b&gt;" in category.svg
    assert charts([]) == []
