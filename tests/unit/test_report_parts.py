"""The report's parts: measures, funnel, diffs, shaded tokens, curves."""

from __future__ import annotations

import html
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from iterpref.data.diff import split_lines
from iterpref.reporting.curves import panels, pass_rate
from iterpref.reporting.gather import Run
from iterpref.reporting.highlight import diff_lines, level, python_lines, token_side, visible
from iterpref.reporting.measures import Interval, Measure, funnel, headline, loss_name, measures, turned_tasks
from iterpref.reporting.page import answers


def text_of(markup: Markup) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", str(markup)))


def side(**verdicts: str) -> dict[str, Any]:
    return {"tasks": [{"task_id": k, "verdict": v} for k, v in verdicts.items()]}


def test_a_share_is_shown_in_per_cent_and_its_change_in_points() -> None:
    row = Measure("m", "", Interval(0.5, 0.5, 0.5), Interval(0.625, 0.5, 0.75), True, 0.5)
    assert (row.text(0.625), row.change) == ("62.5 %", "+12.5 pts")
    assert row.bounds(row.after or Interval(0)) == "50.0, 75.0"
    assert row.bounds(row.before or Interval(0)) == ""  # no width: nothing to say
    assert row.plot == [
        {"low": 50.0, "mean": 50.0, "high": 50.0, "neutral": 50.0, "after": 0.0},
        {"low": 50.0, "mean": 62.5, "high": 75.0, "neutral": 50.0, "after": 1.0},
    ]


def test_nats_keep_their_sign_and_are_drawn_within_their_own_range() -> None:
    row = Measure("m", "", Interval(0.0), Interval(-4.0, -5.0, -3.0), False, 0.0)
    assert (row.text(-4.0), row.change) == ("−4.00", "−4.00")
    assert row.plot is not None
    assert [(v["low"], v["mean"], v["high"]) for v in row.plot] == [(100, 100, 100), (0, 20, 40)]
    assert Measure("m", "", None, Interval(-61.25), False).text(-61.25) == "−61.2"


def test_rows_that_neither_side_measured_are_left_out() -> None:
    after = {
        "pass_at_1": None,
        "preference": {"margin": {"mean": 1.0, "low": math.nan, "high": 2.0}, "accuracy": {"mean": math.nan}},
    }
    (row,) = measures(None, after)
    assert (row.name, row.before, row.change) == ("Margin", None, "")
    assert row.after == Interval(1.0, None, 2.0)
    assert measures(None, None) == []
    (row,) = measures(None, {"preference": {"margin": {"mean": 1.0}}}, per_token=True)
    assert "mean per token" in row.how


def test_turned_tasks_count_only_tasks_that_both_sides_answered() -> None:
    before, after = side(a="FAIL", b="PASS", c="PASS", d="ERROR"), side(a="PASS", b="TIMEOUT", c="PASS", e="PASS")
    assert turned_tasks(before, after) == (["a"], ["b"])
    assert [row["task_id"] for row in answers(before, after)] == ["a", "b", "c", "e"]


def test_the_funnel_names_each_drop_once() -> None:
    run = Run(Path("r"))
    run.manifests["trajectories"] = {
        "counts": {"problems": 4, "problems_dropped": {}, "trajectories": 8, "status": {"solved": 5, "unsolved": 3}}
    }
    run.manifests["pairs"] = {
        "counts": {"pairs": 4, "dropped": {"unsolved": 3, "filter_ast_equal": 1}, "splits": {"train": 3, "test": 1}}
    }
    run.manifests["tokens"] = {
        "counts": {"pairs": 4, "examples": 2, "dropped": {"long_prompt": 0, "long_completion": 2}}
    }
    stages = funnel(run)
    assert [s.count for s in stages] == [4, 8, 5, 4, 2]
    assert [s.width for s in stages] == [50.0, 100.0, 62.5, 50.0, 25.0]
    assert [dict(s.drops) for s in stages] == [
        {}, {}, {"never passed its tests": 3}, {"both versions have the same syntax tree": 1}, {"long completion": 2},
    ]  # fmt: skip
    assert stages[3].note == "3 train, 1 test"


def test_without_trajectories_the_pairs_name_all_their_drops() -> None:
    run = Run(Path("r"), manifests={"pairs": {"counts": {"pairs": 4, "dropped": {"unsolved": 3}}}})
    assert [s.drops for s in funnel(run)] == [(("never passed its tests", 3),)]


@pytest.mark.parametrize(
    ("loss", "rejected", "name"),
    [
        ({"alpha": 1.0, "beta": 0.1}, "focal", "Target-RPO (β 0.1, α 1.0)"),
        ({"alpha": 0.0, "beta": 0.3}, "focal", "Target-DPO (β 0.3)"),
        ({"alpha": 1.0, "beta": 0.1}, "full", "RPO (β 0.1, α 1.0)"),
        ({"alpha": 1.0, "beta": 0.1}, "fence", "RPO (β 0.1, α 1.0)"),
        ({"alpha": 0.0, "beta": 0.1}, "diff_aug", "Target-DPO (β 0.1)"),
        ({"alpha": 1.0, "beta": 0.1, "preference": 0.0}, "focal", "plain fine-tuning on y+ (SFT)"),
        ({"alpha": 1.0, "preference": 0.0, "nll_side": "rejected"}, "focal", "plain fine-tuning on y− (SFT)"),
        (
            {"alpha": 0.0, "beta": 0.1, "link": "ipo", "length_normalised": True},
            "focal",
            "Target-DPO (ipo link, β 0.1, means per token)",
        ),
        (
            {"alpha": 0.5, "beta": 0.1, "label_smoothing": 0.1, "nll_side": "rejected"},
            "full",
            "RPO (β 0.1, α 0.5, NLL of y−, label smoothing 0.1)",
        ),
    ],
)
def test_the_loss_has_the_papers_name(loss: dict[str, Any], rejected: str, name: str) -> None:
    assert loss_name(Run(Path("r"), config={"loss": loss, "mask": {"chosen": "full", "rejected": rejected}})) == name


def test_a_hybrid_names_its_share_of_full_masks() -> None:
    config = {"loss": {"alpha": 0.0, "beta": 0.1}, "mask": {"chosen": "full", "rejected": "focal", "full_share": 0.5}}
    assert loss_name(Run(Path("r"), config=config)) == "Target-DPO (β 0.1, full masks on 50% of the pairs)"


def test_masks_that_no_term_of_the_loss_uses_are_told_as_those_of_the_metrics() -> None:
    masks = {"chosen": "full", "rejected": "focal"}
    lines = [headline(Run(Path("r"), config={"loss": {"preference": p}, "mask": masks})) for p in (0.0, 1.0)]
    assert ["in the metrics, K+ counts" in line for line in lines] == [True, False]


def test_the_headline_counts_the_pairs_that_the_config_leaves() -> None:
    run = Run(Path("r"), config={"data": {"max_train_pairs": 64}, "model": {"name": "m"}})
    run.manifests["pairs"] = {"counts": {"splits": {"train": 100}}}
    assert headline(run).startswith("m was trained on 64 preference pairs with ")


@given(st.text(st.sampled_from("ab \n\r\t\f'\"#\\<&\u2028\ud800")))
def test_highlighting_keeps_every_line_and_character(text: str) -> None:
    assert [text_of(line) for line in python_lines(text)] == [visible(line) for line in split_lines(text)]


@given(st.text(st.sampled_from("ab\n")), st.text(st.sampled_from("ab\n")))
def test_a_diff_holds_both_texts(old: str, new: str) -> None:
    lines = diff_lines(old, new)
    assert [text_of(x.html) for x in lines if x.kind != "plus"] == split_lines(old)
    assert [text_of(x.html) for x in lines if x.kind != "minus"] == split_lines(new)


def test_a_long_diff_shows_only_what_stands_near_a_change() -> None:
    old = [f"x{i} = {i}" for i in range(100)]
    lines = diff_lines("\n".join(old), "\n".join([*old[:50], "y = 1", *old[51:]]))
    assert [x.kind for x in lines] == ["gap", *["same"] * 4, "minus", "plus", *["same"] * 4, "gap"]
    assert text_of(lines[0].html) == "⋯ 46 unchanged lines"
    assert (lines[5].number, lines[6].number) == (51, 51)


@pytest.mark.parametrize(
    ("ratio", "css"), [(0.0, ""), (0.09, ""), (0.1, "u1"), (-0.3, "d2"), (2.9, "u3"), (-3.0, "d4")]
)
def test_the_bar_grows_with_the_log_ratio(ratio: float, css: str) -> None:
    assert level(ratio) == css


def token(start: int, end: int, ratio: float = 0.0, mask: float = 0.0, focal: int = 0) -> dict[str, Any]:
    return {"start": start, "end": end, "mask": mask, "focal": focal, "logp": -1.0 + ratio, "ref_logp": -1.0}


def test_shaded_tokens_carry_their_numbers_and_white_space_is_visible() -> None:
    text = "if x:\n  y"
    rows = [
        token(0, 2),
        token(2, 5, -0.5, 1.0, 1),
        token(5, 6, 0.0, 1.0, 1),
        token(6, 8),
        token(8, 9, 4.0),
        token(9, 9),
    ]
    made = token_side(text, rows, "mask")
    assert (made.n_tokens, made.n_shaded, made.shaded_sum, made.all_sum) == (6, 2, -0.5, 3.5)
    assert text_of(made.html) == "if x:↵\n··y⟨eos⟩"
    assert '<i class="x d2" data-t="log-prob −1.00 → −1.50; log-ratio −0.50; weight 1"> x:</i>' in made.html
    assert '<i class="u4" data-t="log-prob −1.00 → 3.00; log-ratio +4.00; not counted">y</i>' in made.html
    assert '<i class="x w"' in made.html


def test_tokens_that_share_a_character_and_gaps_between_tokens_lose_no_text() -> None:
    made = token_side("a é<b>", [token(0, 1), token(2, 3), token(2, 3), token(3, 6)], "focal")
    assert text_of(made.html) == "a é▯<b>"
    assert made.n_shaded == 0


def test_a_very_long_answer_is_cut_and_says_so() -> None:
    made = token_side("ab" * 2000, [token(i, i + 1) for i in range(4000)], "mask")
    assert made.left_out == 2500
    assert made.html.count("<i") == 1500


def test_metrics_are_grouped_and_each_value_that_is_no_number_is_counted() -> None:
    found = panels({
        "custom": [(0, 1.0)], "train/nll": [(0, 2.0), (1, 1.0)], "val/loss": [(1, 3.0)],
        "train/loss": [(0, 4.0), (1, math.nan), (2, 3000.0)], "train/lr": [(0, math.inf)],
    })  # fmt: skip
    assert [p.title for p in found] == ["Loss and NLL", "Learning rate", "custom"]
    loss = found[0]
    assert [(x.name, x.colour, x.dashed, x.not_finite) for x in loss.lines] == [
        ("train/loss", 1, False, 1), ("val/loss", 1, True, 0), ("train/nll", 2, False, 0),
    ]  # fmt: skip
    assert loss.summary == "Loss and NLL by optimizer step: train/loss 4 → 3000; val/loss 3 → 3; train/nll 2 → 1"
    assert found[1].lines[0].not_finite == 1


def test_figures_are_repeatable_take_the_themes_colours_and_share_no_id() -> None:
    series = [(float(i), math.sin(i)) for i in range(5000)]
    first, second = panels({"a": series, "b": series}), panels({"a": series, "b": series})
    assert [p.svg for p in first] == [p.svg for p in second]
    ids = [re.findall(r' id="([^"]*)"', p.svg) for p in first]
    assert set(ids[0]).isdisjoint(ids[1])
    for panel, known in zip(first, ids, strict=True):
        assert set(re.findall(r'(?:#|url\(#)([^")\s]+)[")]', panel.svg)) <= set(known)
        assert "var(--c1)" in panel.svg
        assert "#0000" not in panel.svg
        assert "http" not in panel.svg.replace("http://www.w3.org/", "")
        assert len(panel.svg) < 40_000


def test_the_pass_rate_is_told_in_words_too() -> None:
    panel = pass_rate([0.0, 0.25, 1.0])
    assert panel.summary == "Share of trajectories solved: 0 % by version 0, 25 % by version 1, 100 % by version 2"
    assert "25 %" in panel.svg
