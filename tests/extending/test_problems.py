"""docs/examples/digits_problems.py: tasks whose references pass their tests."""

from itertools import pairwise

from iterpref.build import build_sandbox
from iterpref.codeflow.problems import load_problems
from iterpref.codeflow.sandbox.protocol import RunRequest
from iterpref.config import Config, ProblemsConfig


def test_each_reference_passes_its_own_tests_and_a_wrong_base_does_not() -> None:
    problems = load_problems(ProblemsConfig(source="digits"))
    assert {p.split for p in problems} == {"train", "validation", "test"}
    sandbox = build_sandbox(Config().sandbox)
    try:
        own = [sandbox.run(RunRequest(p.reference, p.tests)).verdict for p in problems]
        other = [sandbox.run(RunRequest(p.reference, q.tests)).verdict for p, q in pairwise(problems)]
    finally:
        sandbox.close()
    assert set(own) == {"PASS"}
    assert set(other) == {"FAIL"}
