"""The bank proves itself: every reference passes, is covered by its tests, and its tests catch injected bugs."""

import hashlib
import json
from collections import Counter

import pytest

from iterpref.codeflow.bank import load_bank
from iterpref.codeflow.generate.mutate import mutants
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Limits, RunRequest
from iterpref.schema import Problem, SourceFile, Verdict

BANK = load_bank()
LIMITS = Limits(cpu_s=2.0)
CAUGHT = (Verdict.FAIL, Verdict.ERROR, Verdict.TIMEOUT, Verdict.OOM, Verdict.CRASH, Verdict.EARLY_EXIT)
MUTANTS_CAUGHT = 3


@pytest.fixture(scope="module")
def sandbox():
    box = PooledSandbox(workers=2)
    yield box
    box.close()


def test_the_bank_holds_at_least_150_tasks_in_thirteen_categories_or_more():
    assert len(BANK) >= 150
    assert len(Counter(p.category for p in BANK)) >= 13


def test_every_reference_passes_its_tests_and_is_covered_to_95_percent(sandbox):
    requests = [RunRequest(p.reference, p.tests, LIMITS, measure_coverage=True) for p in BANK]
    weak = [
        (problem.task_id, result.verdict, result.coverage, result.stderr[-300:])
        for problem, result in zip(BANK, sandbox.run_many(requests), strict=True)
        if result.verdict != Verdict.PASS or (result.coverage or 0) < 0.95
    ]
    assert weak == []


def test_every_suite_catches_at_least_three_injected_bugs(sandbox):
    candidates = {p.task_id: mutants(p.reference[0].text, seed=0, limit=20) for p in BANK}
    caught: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    left = list(BANK)
    # A few at a time: most suites need no more than three runs.
    while left:
        jobs: list[tuple[Problem, str]] = []
        for problem in left:
            at, need = tried[problem.task_id], MUTANTS_CAUGHT - caught[problem.task_id]
            jobs += [(problem, m.text) for m in candidates[problem.task_id][at : at + need]]
            tried[problem.task_id] = at + need
        requests = [RunRequest((SourceFile("solution.py", text),), p.tests, LIMITS) for p, text in jobs]
        for (problem, _), result in zip(jobs, sandbox.run_many(requests), strict=True):
            caught[problem.task_id] += result.verdict in CAUGHT
        left = [p for p in left if caught[p.task_id] < MUTANTS_CAUGHT and tried[p.task_id] < len(candidates[p.task_id])]
    weak = {p.task_id: (caught[p.task_id], tried[p.task_id]) for p in BANK if caught[p.task_id] < MUTANTS_CAUGHT}
    assert weak == {}


def test_the_splits_are_fixed_for_good():
    # A task that moves from test to train spoils every earlier comparison: this hash changes only with new held-out tasks.
    held_out = {split: sorted(p.task_id for p in BANK if p.split == split) for split in ("validation", "test")}
    digest = hashlib.sha256(json.dumps(held_out, sort_keys=True).encode()).hexdigest()[:16]
    assert {split: len(ids) for split, ids in held_out.items()} == {"validation": 14, "test": 42}
    assert digest == "b554bae9780a0ecb"
