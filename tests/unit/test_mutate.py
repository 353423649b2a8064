"""The embedded debugger: what it writes, that it repeats itself, and that it ends."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import iterpref
from iterpref.codeflow.generate import Generator, NoDraft
from iterpref.codeflow.generate.bugs import KINDS
from iterpref.codeflow.generate.mutate import MAX_WRONG_REPAIRS, VERSION, MutateGenerator, mutants
from iterpref.errors import UserError
from iterpref.schema import Attempt, Draft, Problem, SourceFile, TestSuite, Verdict

TASKS = sorted(Path(iterpref.__file__).parent.glob("codeflow/bank/tasks/**/*.py"))
SOLUTION = '''"""Groups rows by owner."""


def totals(rows: list[dict], start: int = 0) -> list[tuple[str, int]]:
    """Sums what every owner has, largest first."""
    if not rows:
        return []
    found: dict[str, int] = {}
    for row in rows:
        owner = row["owner"].strip()
        if not owner or row["count"] < 0:
            continue
        # a comment that stays
        found[owner] = found.get(owner, start) + int(row["count"])
    best = max(found.values(), default=0)
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    if best > 100:
        ranked = ranked[:10]
    else:
        ranked = ranked[1:-1]
    return ranked
'''


def problem(text: str = SOLUTION, task_id: str = "bank/totals") -> Problem:
    return Problem(task_id, "Sum up.", TestSuite((), "unittest", 1), (SourceFile("solution.py", text),))


def attempts_of(drafts: list[Draft]) -> list[Attempt]:
    return [Attempt(i, None, d.files, "", Verdict.FAIL, "", 0, 1, note=d.note) for i, d in enumerate(drafts)]


def trajectory(generator: Generator, task: Problem, seed: int) -> list[Draft]:
    """All versions until no bug is left."""
    drafts = [generator.start(task, seed)]
    while drafts[-1].files != task.reference:
        drafts.append(generator.revise(task, attempts_of(drafts), "AssertionError", seed))
        assert len(drafts) < 20
    return drafts


def present(note: str) -> list[str]:
    """The bugs that a note says are there."""
    first = note.split("; ")[0]
    return [] if first.startswith(("repaired", "replaced")) else first.split(", ")


# --- mutants ---


def test_mutants_of_the_bank_compile_differ_in_syntax_and_change_nothing_above_their_line() -> None:
    for i, path in enumerate(TASKS):
        solution = path.read_text(encoding="utf-8").split("\n# --- tests ---\n")[0]
        reference, lines = ast.dump(ast.parse(solution)), solution.splitlines(keepends=True)
        # All mutants of every fifth task, and a dozen of each of the others: the whole takes a minute.
        found = mutants(solution, seed=i, limit=None if i % 5 == 0 else 12)
        assert len(found) >= 3, path
        assert len({m.text for m in found}) == len(found), path
        for mutant in found:
            changed = mutant.text.splitlines(keepends=True)
            compile(mutant.text, path.name, "exec")
            assert ast.dump(ast.parse(mutant.text)) != reference, (path, mutant)
            assert changed[: mutant.line - 1] == lines[: mutant.line - 1], (path, mutant)
            assert changed[mutant.line - 1 : mutant.line] != lines[mutant.line - 1 : mutant.line], (path, mutant)
            # The longest branch that one bug drops is far shorter than a solution.
            assert abs(len(lines) - len(changed)) <= 15, (path, mutant)


def test_a_limit_takes_one_mutant_of_each_kind_before_any_second() -> None:
    everything = mutants(SOLUTION, seed=1)
    kinds = {m.kind for m in everything}
    few = mutants(SOLUTION, seed=1, limit=len(kinds))
    assert {m.kind for m in few} == kinds
    assert few == everything[: len(kinds)]
    assert mutants(SOLUTION, seed=1, limit=0) == []
    assert mutants(SOLUTION, seed=2) != everything


def test_comments_and_formatting_survive() -> None:
    for mutant in mutants(SOLUTION.replace("rows: list[dict], start", "rows:list[dict],  start"), seed=0):
        assert "# a comment that stays" in mutant.text
        assert "rows:list[dict],  start" in mutant.text


# --- trajectories ---


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_every_revision_takes_exactly_one_bug_away_and_adds_one_only_twice(seed: int) -> None:
    drafts = trajectory(MutateGenerator(), problem(), seed)
    bugs = [present(draft.note) for draft in drafts]
    assert 1 <= len(bugs[0]) <= 4
    wrong_repairs = 0
    for before, after, draft in zip(bugs, bugs[1:], drafts[1:], strict=False):
        went_wrong = "replaced: " in draft.note or "introduced: " in draft.note
        wrong_repairs += went_wrong
        assert len(after) == len(before) - 1 + went_wrong
        # A bug may be replaced by another of its kind in its own line: then the labels are the same.
        assert len(set(before) - set(after)) <= 1
        assert len(set(after) - set(before)) <= went_wrong
    assert wrong_repairs <= MAX_WRONG_REPAIRS
    assert bugs[-1] == []
    assert drafts[-1].files == problem().reference
    texts = [draft.files[0].text for draft in drafts]
    assert len(set(texts)) == len(texts)
    for text in texts[:-1]:
        compile(text, "solution.py", "exec")
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(SOLUTION))


def test_most_trajectories_need_at_most_five_revisions() -> None:
    revisions = [len(trajectory(MutateGenerator(), problem(), seed)) - 1 for seed in range(150)]
    assert sum(n <= 5 for n in revisions) / len(revisions) >= 0.8
    assert max(revisions) <= 4 + MAX_WRONG_REPAIRS
    assert sorted(set(revisions)) == [1, 2, 3, 4, 5, 6]


def test_revise_looks_at_the_number_of_attempts_and_at_nothing_else() -> None:
    task, generator = problem(), MutateGenerator(bugs_min=4)
    drafts = trajectory(generator, task, seed=5)
    other = Draft((SourceFile("solution.py", "nothing = 1\n"),))
    for i in reversed(range(1, len(drafts))):
        assert generator.revise(task, attempts_of(drafts[:i]), "", 5) == drafts[i]
        assert MutateGenerator(bugs_min=4).revise(task, attempts_of([other] * i), "other", 5) == drafts[i]
    assert generator.start(task, 5) == drafts[0]


def test_a_solution_without_bugs_stays_as_it_is() -> None:
    drafts = trajectory(MutateGenerator(), problem(), seed=0)
    again = MutateGenerator().revise(problem(), attempts_of(drafts), "", 0)
    assert again == Draft(problem().reference, "")


def test_revise_without_an_attempt_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        MutateGenerator().revise(problem(), [], "", 0)


def test_repairs_never_go_wrong_at_probability_zero_and_twice_at_one() -> None:
    for seed in range(10):
        drafts = trajectory(MutateGenerator(bugs_min=2, bugs_max=2, wrong_repair=0.0), problem(), seed)
        assert [len(present(d.note)) for d in drafts] == [2, 1, 0]
        drafts = trajectory(MutateGenerator(bugs_min=2, bugs_max=2, wrong_repair=1.0), problem(), seed)
        assert [len(present(d.note)) for d in drafts] == [2, 2, 2, 1, 0]
        assert all("; replaced: " in d.note or "; introduced: " in d.note for d in drafts[1:3])


def test_seed_and_task_both_change_the_bugs() -> None:
    generator = MutateGenerator()
    starts = {generator.start(problem(task_id=task), seed).note for task in "abcd" for seed in range(5)}
    assert len(starts) > 15


def test_a_note_names_the_file_where_there_are_several() -> None:
    two = (
        SourceFile("a.py", "X = 1\n"),
        SourceFile("b.py", "def f(n):\n    return n - 1\n"),
        SourceFile("c.txt", "1 -"),
    )
    task = Problem("t", "", TestSuite((), "unittest", 1), two)
    draft = MutateGenerator(kinds=["off_by_one"]).start(task, 0)
    assert draft.note == "off_by_one@b.py:2"
    assert draft.files == (two[0], SourceFile("b.py", "def f(n):\n    return n\n"), two[2])


def test_a_small_solution_gets_as_many_bugs_as_it_has_room_for() -> None:
    draft = MutateGenerator(bugs_min=4).start(problem("def f(n):\n    return n - 1\n"), 0)
    assert len(present(draft.note)) == 1


def test_two_bugs_never_share_a_line() -> None:
    for seed in range(40):
        note = MutateGenerator(bugs_min=4).start(problem(), seed).note
        lines = [bug.split("@")[1] for bug in present(note)]
        assert len(set(lines)) == len(lines) == 4


# --- repeatability ---

_SCRIPT = """
import hashlib, sys
from iterpref.codeflow.generate.mutate import MutateGenerator, mutants
from iterpref.schema import Attempt, Problem, SourceFile, TestSuite, Verdict
source = sys.stdin.read()
task = Problem("bank/totals", "", TestSuite((), "unittest", 1), (SourceFile("solution.py", source),))
attempt = Attempt(0, None, (), "", Verdict.FAIL, "", 0, 1)
digest = hashlib.sha256()
for seed in range(8):
    for n in range(4):
        draft = MutateGenerator().revise(task, [attempt] * n, "", seed) if n else MutateGenerator().start(task, seed)
        digest.update((draft.files[0].text + draft.note).encode())
digest.update(repr(mutants(source, 3)).encode())
print(digest.hexdigest())
"""
# Where this changes, the same seed writes something else: then `VERSION` must grow, or stored runs would be mixed up.
GOLDEN = {1: "cb2d4442f8a4cc9efe77f186a21a9fc45fe5196db354e240757957277b8222e2"}


def test_the_output_is_the_same_in_every_process_and_pinned_to_the_version() -> None:
    digests = []
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            input=SOLUTION,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        digests.append(run.stdout.strip())
    assert digests == [GOLDEN[VERSION]] * 2


# --- options ---


def test_the_fingerprint_tells_every_option() -> None:
    assert MutateGenerator(2, 3, 0.5, ["wrong_key", "off_by_one", "wrong_key"]).fingerprint() == {
        "name": "mutate",
        "version": VERSION,
        "bugs_min": 2,
        "bugs_max": 3,
        "wrong_repair": 0.5,
        "kinds": ["off_by_one", "wrong_key"],
    }
    assert MutateGenerator().fingerprint()["kinds"] == list(KINDS)


def test_only_the_kinds_asked_for_appear() -> None:
    generator = MutateGenerator(kinds=["wrong_comparison", "dropped_else"])
    for seed in range(10):
        for draft in trajectory(generator, problem(), seed):
            assert {bug.split("@")[0] for bug in present(draft.note)} <= {"wrong_comparison", "dropped_else"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bugs_min": 3, "bugs_max": 2}, "bugs_min=3 and bugs_max=2"),
        ({"bugs_min": 0}, "bugs_min=0"),
        ({"wrong_repair": 1.5}, r"in \[0, 1\] for wrong_repair, got 1.5"),
        ({"wrong_repair": float("nan")}, "got nan"),
        ({"kinds": ["off_by_two"]}, "no bug kind 'off_by_two'; did you mean 'off_by_one'"),
        ({"kinds": []}, "at least one bug kind"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        MutateGenerator(**options)


def test_a_task_without_a_place_for_a_bug_has_no_draft_and_stops_no_other() -> None:
    for text, kinds in (("X = None\n", None), (SOLUTION, ["wrong_jump", "mutable_default"])):
        task = problem(text.replace("continue", "pass"), task_id="bank/empty")
        with pytest.raises(NoDraft, match=r"no_room_for_a_bug: .*reference solution, of 1 file"):
            MutateGenerator(kinds=kinds).start(task, 0)
    with pytest.raises(UserError, match=r"bank/empty: solution.py: .*does not parse"):
        MutateGenerator().start(problem("def f(:\n", task_id="bank/empty"), 0)
    with pytest.raises(NoDraft, match=r"0 file\(s\)"):
        MutateGenerator().start(Problem("t", "", TestSuite((), "unittest", 1)), 0)
