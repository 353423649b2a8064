"""Scoring with a sandbox that reads its verdict from the program's last line."""

import pytest
import torch

from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Limits, RunResult
from iterpref.codeflow.suites import NO_TESTS, asserts_suite
from iterpref.config import EvaluateConfig
from iterpref.errors import UserError
from iterpref.eval import bank
from iterpref.eval.bank import evaluate_bank, score_bank, take_spread
from iterpref.schema import Problem, SourceFile, TestSuite, Verdict

LIMITS = Limits(wall_s=3.0)


class FakeSandbox:
    tier = "fake"
    workers = 1

    def __init__(self):
        self.requests = []

    def run(self, request):
        self.requests.append(request)
        verdict = Verdict(request.files[0].text.split()[-1].strip("'"))
        return RunResult(verdict, f"detail {verdict}", 2, 1, tier=self.tier)

    def run_many(self, requests):
        return (self.run(request) for request in requests)

    def close(self):
        pass


def problem(name, split="test"):
    tests = TestSuite((SourceFile("test_solution.py", f"# {name}\n"),), "unittest", 3)
    return Problem(task_id=f"logic/{name}", prompt=f"Write {name}.", tests=tests, split=split)


def answer(verdict):
    return f"Here:\n```python\nx = '{verdict}'\n```\n"


def test_only_pass_is_a_pass():
    problems = [problem(name) for name in "abcd"]
    sandbox = FakeSandbox()
    result = score_bank(problems, [answer(v) for v in ("PASS", "FAIL", "FLAKY", "FAIL")], sandbox, LIMITS)
    assert result["pass_at_1"] == pytest.approx(
        {"n_tasks": 4, "n_passed": 1, "rate": 0.25, "low": 0.0455873, "high": 0.6993582}, abs=1e-6
    )
    assert result["verdicts"] == {"FAIL": 2, "PASS": 1, "FLAKY": 1}
    assert next(iter(result["verdicts"])) == "FAIL"
    assert result["tasks"][1] == {
        "task_id": "logic/b",
        "verdict": "FAIL",
        "detail": "detail FAIL",
        "n_pass": 2,
        "n_fail": 1,
        "answer": answer("FAIL"),
    }


def test_the_code_of_an_answer_runs_on_the_frozen_tests_of_its_task():
    problems = [problem("a"), problem("b")]
    sandbox = FakeSandbox()
    score_bank(problems, [answer("PASS"), answer("ERROR")], sandbox, LIMITS)
    assert [request.files for request in sandbox.requests] == [
        (SourceFile("solution.py", "x = 'PASS'\n"),),
        (SourceFile("solution.py", "x = 'ERROR'\n"),),
    ]
    assert [request.tests for request in sandbox.requests] == [p.tests for p in problems]
    assert all(request.limits == LIMITS for request in sandbox.requests)


def test_a_failure_of_the_sandbox_is_never_scored():
    with pytest.raises(UserError, match=r"sandbox failed on logic/b \(detail HARNESS_ERROR"):
        score_bank([problem("a"), problem("b")], [answer("PASS"), answer("HARNESS_ERROR")], FakeSandbox(), LIMITS)


def test_an_answer_for_each_task_is_needed():
    with pytest.raises(ValueError, match="shorter"):
        score_bank([problem("a"), problem("b")], [answer("PASS")], FakeSandbox(), LIMITS)


def test_no_task_has_no_rate():
    with pytest.raises(UserError, match="no task to score"):
        score_bank([], [], FakeSandbox(), LIMITS)


def test_a_spread_of_tasks_takes_them_at_even_distances():
    assert take_spread(list("abcdefgh"), 4) == list("aceg")
    assert take_spread(list("abc"), 2) == list("ab")
    assert take_spread(list("abc"), 3) == take_spread(list("abc"), 9) == take_spread(list("abc"), None) == list("abc")


def test_the_tasks_of_the_split_are_asked_and_scored(monkeypatch):
    asked = {}

    def fake_generate(model, tokenizer, prompts, *, on_answer, **options):
        asked.update(options, prompts=prompts, model=model)
        for i, tokens in enumerate((20, 10, 12)):
            on_answer(i, answer("PASS"), tokens)
        return [answer("PASS")] * len(prompts)

    monkeypatch.setattr(bank, "generate", fake_generate)
    problems = [
        problem("a"),
        problem("b", "train"),
        problem("c"),
        problem("d", "validation"),
        problem("e"),
        problem("f"),
    ]
    config = EvaluateConfig(split="test", max_tasks=3, max_new_tokens=77, batch_size=5)
    result = evaluate_bank("model", None, lambda p: f"<{p}>", problems, FakeSandbox(), LIMITS, config, torch.bfloat16)
    assert asked == {
        "model": "model",
        "prompts": ["<Write a.>", "<Write c.>", "<Write e.>"],
        "max_new_tokens": 77,
        "batch_size": 5,
        "autocast_dtype": torch.bfloat16,
    }
    assert result["pass_at_1"]["rate"] == 1.0
    assert result["tokens_generated"] == 42
    assert set(result["seconds"]) == {"generate", "score"}
    assert all(seconds >= 0 for seconds in result["seconds"].values())


def test_a_split_without_tasks_is_refused():
    with pytest.raises(UserError, match=r"evaluate\.split=validation"):
        evaluate_bank(None, None, str, [problem("a")], FakeSandbox(), LIMITS, EvaluateConfig(split="validation"), None)


def test_tasks_with_checks_of_any_kind_are_scored_and_those_without_are_left_out():
    with_asserts = Problem("a", "Add.", asserts_suite("assert add(1) == 2"), split="test")
    sandbox = PooledSandbox(1)
    try:
        answers = ["```python\ndef add(x):\n    return x + 1\n```", "```python\ndef add(x):\n    return 0\n```"]
        result = score_bank([with_asserts, with_asserts], answers, sandbox, Limits(cpu_s=2))
    finally:
        sandbox.close()
    assert [task["verdict"] for task in result["tasks"]] == ["PASS", "FAIL"]
    bare = Problem("b", "Add.", NO_TESTS, split="test")
    with pytest.raises(UserError, match=r"none of its 1 tasks brings tests: add evaluate\.pass_at_1=false"):
        evaluate_bank(None, None, str, [bare], FakeSandbox(), LIMITS, EvaluateConfig(), None)
