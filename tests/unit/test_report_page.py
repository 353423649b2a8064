"""The report as a whole: a run folder made by hand, from complete to almost empty, and hostile texts in every field."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.artifacts import publish
from iterpref.cli import folder_argument
from iterpref.codeflow.code import of_files
from iterpref.config import ReportConfig
from iterpref.errors import UserError
from iterpref.report import main
from iterpref.reporting.gather import gather, read_metrics
from iterpref.reporting.page import varied, write_report
from iterpref.schema import Attempt, SourceFile, TestSuite, Trajectory, Verdict

EVIL = "\"'></style></title><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}"
BUGGY = "def top(xs):\n    return xs[0]\n"
MENDED = "def top(xs):\n    return max(xs)\n"
VOID = {"meta", "br", "img", "path", "circle", "use", "rect"}


class Page(HTMLParser):
    """Checks the nesting of tags and collects ids, links and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.append(name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.links.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "  # neighbouring cells are words of their own


def attempt(i: int, text: str, verdict: Verdict, note: str = "", output: str = "") -> Attempt:
    passed = verdict is Verdict.PASS
    files = (SourceFile("solution.py", text),)
    counts = {"n_pass": 3 * passed, "n_fail": 3 * (not passed)}
    return Attempt(
        i, i - 1 if i else None, files, "sha", verdict, "T.test_top", **counts, stderr_tail=output, note=note
    )


def trajectory(name: str = "bank/a/top", evil: str = "") -> Trajectory:
    versions = (
        attempt(0, BUGGY + evil, Verdict.FAIL, "wrong_function@2" + evil, "AssertionError: 1 != 3" + evil),
        attempt(1, MENDED, Verdict.PASS, "repaired: wrong_function@2"),
    )
    suite = TestSuite((SourceFile("test_solution.py", "import unittest\n"),), "unittest", 3)
    return Trajectory(
        f"{name}#0", name, "Write top." + evil, "bank", "Apache-2.0", "a" + evil, "train", suite, versions, "solved", 1
    )


def tokens(text: str, focal_line: str) -> list[dict[str, Any]]:
    rows = []
    at = text.index(focal_line)
    for start in range(0, len(text), 5):
        end = min(start + 5, len(text))
        focal = int(at <= start < at + len(focal_line))
        rows.append({"start": start, "end": end, "mask": float(focal), "focal": focal, "logp": -1.5, "ref_logp": -1.0})
    return [*rows, {"start": len(text), "end": len(text), "mask": 0.0, "focal": 0, "logp": -0.1, "ref_logp": -0.1}]


def evaluation(after: bool, evil: str = "") -> dict[str, Any]:
    verdict = "PASS" if after else "FAIL"
    value = {"mean": 0.9 if after else 0.5, "low": 0.8 if after else 0.5, "high": 1.0 if after else 0.5}
    task = {"task_id": "bank/a/top" + evil, "verdict": verdict, "detail": "" if after else "T.test_top" + evil,
            "n_pass": 3 * after, "n_fail": 3 * (not after), "answer": (MENDED if after else BUGGY) + evil}  # fmt: skip
    return {
        "model": "tiny", "split": "test", "verdicts": {verdict: 1}, "tasks": [task], "seconds": {"generate": 1.0},
        "pass_at_1": {"n_tasks": 1, "n_passed": int(after), "rate": float(after), "low": 0.0, "high": 1.0},
        "preference": {"n_pairs": 7, "accuracy": value, "margin": value,
                       "chosen_logps": {"mean": -61.25, "low": -70, "high": -50}},
    }  # fmt: skip


def make_run(root: Path, evil: str = "") -> Path:
    run, data = root / "runs" / "demo", root / "data"
    (run / "evaluation").mkdir(parents=True)
    rate = [0.0, 0.5, 1.0]
    counts = {"problems": 5, "problems_dropped": {"reference_fails": 1}, "trajectories": 8,
              "status": {"solved": 5, "solved_at_once": 1, "unsolved": 2}}  # fmt: skip
    publish(data / "trajectories", "t1", {"trajectories": (Trajectory, [trajectory(evil=evil)])},
            {"counts": counts, "pass_rate_by_iteration": rate})  # fmt: skip
    counts = {
        "trajectories": 8,
        "pairs": 4,
        "dropped": {"solved_at_once": 1, "unsolved": 2, "filter_ast_equal": 1},
        "splits": {"train": 4},
    }
    publish(data / "pairs", "p1", {}, {"counts": counts})
    publish(
        data / "tokens",
        "k1",
        {},
        {"counts": {"examples": 3, "dropped": {"long_completion": 1}, "splits": {"train": 3}}},
    )
    record = {"command": ["python", "-m", "iterpref.train", "name=a b" + evil], "started": "s", "finished": "f",
              "git": {"commit": "c0ffee", "dirty": True}, "versions": {"torch": "2.13.0" + evil},
              "hardware": {"device": "cpu"},
              "data": {"folder": str(data), "trajectories": "t1", "pairs": "p1", "tokens": "k1"},
              "stage_seconds": {"evaluate_before": 2.5}, "ops": "torch", "reference": "cached"}  # fmt: skip
    (run / "run.json").write_text(json.dumps(record))
    (run / "config.yaml").write_text(json.dumps({  # JSON is YAML
        "name": "demo" + evil, "model": {"name": "tiny"}, "loss": {"alpha": 1.0, "beta": 0.1, "preference": 1.0},
        "mask": {"chosen": "full", "rejected": "focal"}, "trainer": {"epochs": 1}, "data": {"max_train_pairs": None},
    }))  # fmt: skip
    name = evil.replace('"', "").replace(",", "")
    (run / "metrics.csv").write_text(
        f"step,epoch,train/loss,val/loss,{name or 'other'}\n0,0,1.5,,7\n1,0,nan,,\n2,0,0.5,0.75,\n"
    )
    for side in (False, True):
        path = run / "evaluation" / ("after.json" if side else "before.json")
        path.write_text(json.dumps(evaluation(side, evil)))
    rejected, chosen = (of_files([SourceFile("solution.py", text + evil)]).text for text in (BUGGY, MENDED))
    pair = {"pair_id": "bank/a/top#0" + evil, "task_id": "bank/a/top", "note": "wrong_function@2" + evil,
            "prompt": "Write top." + evil, "chosen": chosen, "rejected": rejected, "d_minus": [2], "d_plus": [2],
            "k_plus": -1.0, "k_minus": -2.0,
            "tokens": {"chosen": tokens(chosen, "    return max(xs)\n"),
                       "rejected": tokens(rejected, "    return xs[0]\n")}}  # fmt: skip
    (run / "evaluation" / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    return run


def written(run: Path, data: Path | None = None, **options: int) -> str:
    return write_report(run, data or run, ReportConfig(**options)).read_text(encoding="utf-8")


def test_a_complete_run_gives_one_well_formed_page_that_needs_nothing_else(tmp_path: Path) -> None:
    html = written(make_run(tmp_path))
    page = Page(html)
    assert "Not here yet" not in html
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "script" not in page.tags
    assert "url(http" not in html
    assert "@import" not in html
    assert html.startswith('<!doctype html>\n<html lang="en">')


def test_the_page_says_what_was_done_and_what_came_of_it(tmp_path: Path) -> None:
    text = " ".join(Page(written(make_run(tmp_path))).text.split())
    for piece in (
        "tiny was trained on 3 preference pairs for 1 epoch with Target-RPO (β 0.1, α 1.0)",
        "pass@1 0.0 % [0.0, 100.0] 0 of 1 100.0 % [0.0, 100.0] 1 of 1 +100.0 pts",
        "Preference accuracy 50.0 % 90.0 % [80.0, 100.0] +40.0 pts",
        "−61.2",
        "−1 its reference fails its own tests",
        "−1 both versions have the same syntax tree",
        "AssertionError: 1 != 3",
        "wrong_function@2",
        "K+ = −1.00 and K− = −2.00 nats: the pair is ranked correctly",
        "1 not finite",
        "python -m iterpref.train 'name=a b'",
        "c0ffee with uncommitted changes",
        "evaluate before 2.5 s",
    ):
        assert piece in text


def test_the_counts_of_the_report_options_are_obeyed(tmp_path: Path) -> None:
    html = written(make_run(tmp_path), trajectories=0, pairs=0)
    assert "No trajectories to show." in html
    assert "No held-out pairs" in html


def test_hostile_texts_are_shown_and_never_run(tmp_path: Path) -> None:
    plain = Page(written(make_run(tmp_path / "plain")))
    html = written(make_run(tmp_path / "evil", evil=EVIL))
    page = Page(html)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "onerror" not in page.attributes
    assert page.tags.count("style") == plain.tags.count("style")
    assert page.text.count("<script>alert(1)</script>") > 10
    assert "{{ 7 * 7 }}" in page.text
    assert "default-src 'none'" in html


def test_control_characters_and_lone_surrogates_are_spelled_out(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    side = evaluation(True)
    side["tasks"][0]["answer"] = "a\x1b[31m\u202e\ud800b"
    (run / "evaluation" / "after.json").write_text(json.dumps(side))
    assert "a␛[31m[U+202E][U+D800]b" in written(run)


def test_a_run_without_evaluation_still_gives_a_page_that_names_the_command(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for path in (run / "evaluation").iterdir():
        path.unlink()
    (run / "evaluation").rmdir()
    text = " ".join(Page(written(run)).text.split())
    assert f"evaluation/after.json made by python -m iterpref.evaluate paths.run={run}" in text
    assert "No evaluation yet." in text
    assert "Loss and NLL" in text


@pytest.mark.parametrize("piece", ["config.yaml", "run.json", "evaluation/pairs.jsonl"])
def test_a_broken_piece_is_named_and_the_others_are_shown(tmp_path: Path, piece: str) -> None:
    run = make_run(tmp_path)
    (run / piece).write_bytes(b"{ [")
    text = Page(written(run)).text
    assert f"{piece}: the file is there but" in text
    assert "Loss and NLL" in text


@pytest.mark.parametrize("section", ["git", "versions", "hardware", "data", "stage_seconds"])
def test_a_record_whose_section_is_none_is_named_and_the_page_is_written(tmp_path: Path, section: str) -> None:
    run = make_run(tmp_path)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, section: "x"}))
    assert (
        f"run.json: the file is there but cannot be read ({section} should be JSON objects)" in Page(written(run)).text
    )


@pytest.mark.parametrize("piece", ["config.yaml", "metrics.csv", "evaluation/pairs.jsonl"])
def test_any_one_piece_alone_gives_a_page(tmp_path: Path, piece: str) -> None:
    whole = make_run(tmp_path) / piece
    alone = tmp_path / "alone"
    (alone / piece).parent.mkdir(parents=True)
    (alone / piece).write_bytes(whole.read_bytes())
    assert "Not here yet" in Page(written(alone)).text
    assert piece not in [missing.what for missing in gather(alone, alone).missing]


def test_an_unfinished_training_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "finished": None, "git": None}))
    html = written(run)
    assert "the end of the training" in html
    assert "not a git checkout" in html


def test_data_that_were_moved_are_found_through_the_fallback(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (tmp_path / "data").rename(tmp_path / "moved")
    assert "trajectories t1 under" in written(run, tmp_path / "nowhere")
    assert gather(run, tmp_path / "moved").missing == []


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_that_is_no_run_stops_with_the_command_that_makes_one(tmp_path: Path, empty: bool) -> None:
    run = tmp_path / "nothing"
    if empty:
        run.mkdir()
    said = "holds none" if empty else "does not exist"
    with pytest.raises(UserError, match=rf"nothing {said}.*run.json.*iterpref.train paths.run="):
        write_report(run, tmp_path, ReportConfig())


def test_the_last_row_of_a_killed_run_is_skipped_where_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/loss,train/lr\n0,0,1.5,0.1\n0,1,1.25,\n0,2,1.")
    assert read_metrics(path) == {"train/loss": [(0, 1.5), (1, 1.25), (2, 1.0)], "train/lr": [(0, 0.1)]}


def test_trajectories_are_chosen_to_differ() -> None:
    same = [trajectory(f"bank/a/{i}") for i in range(3)]
    other = Trajectory.from_dict({**trajectory("bank/b/x").to_dict(), "category": "b", "status": "unsolved"})
    at_once = Trajectory.from_dict({**trajectory("bank/c/x").to_dict(), "status": "solved_at_once"})
    assert [t.task_id for t in varied([*same, at_once, other], 2)] == ["bank/a/0", "bank/b/x"]
    assert len(varied([*same, at_once], 9)) == 3


def test_the_command_writes_the_page_and_prints_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "it's a=b, {x}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["report"])
    main([str(run), "report.pairs=0"])
    assert capsys.readouterr().out.strip().endswith(str(run / "report.html"))
    assert "No held-out pairs" in (run / "report.html").read_text()


FOLDER_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="="), min_size=1)


@settings(max_examples=40, deadline=None)
@given(FOLDER_NAMES.filter(lambda name: name[0] != "-"))
def test_any_folder_name_survives_hydras_grammar(name: str) -> None:
    (override,) = OverridesParser.create().parse_overrides(folder_argument([name]))
    assert override.key_or_group == "paths.run"
    value = override.value()
    assert getattr(value, "text", value) == name


def test_overrides_and_flags_are_passed_on_as_they_are() -> None:
    for arguments in ([], ["--help"], ["paths.run=x"], ["runs/a=b/c"]):
        assert folder_argument(arguments) == arguments
    assert folder_argument(["x", "report.pairs=1"]) == ["paths.run='x'", "report.pairs=1"]
