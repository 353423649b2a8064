"""EvalPlus's rules on tiny tasks of our own: types of inputs, tolerances, special comparisons, both verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import RunResult
from iterpref.errors import UserError
from iterpref.eval.evalplus import PARTS, parse_tasks, references, request
from iterpref.eval.evalplus_rules import Agrees, Expected, expectations, restore
from iterpref.schema import Verdict


def row(task_id: str, code: str, base: list[Any], plus: list[Any], atol: float = 0) -> dict[str, Any]:
    return {"task_id": task_id, "prompt": '"""Write f."""\n', "entry_point": "f", "canonical_solution": code,
            "base_input": base, "plus_input": plus, "atol": atol}  # fmt: skip


def agrees(value: Any, wanted: Any, task_id: str = "Mbpp/1", atol: float = 0.0, version: str = "0.3") -> bool:
    (expected,) = expectations(task_id, atol, [()], [wanted], version)
    return Agrees(task_id, version)(value, expected) == ""


@pytest.mark.parametrize(
    ("task_id", "inputs", "restored"),
    [
        ("Mbpp/1", [[[1, [2]], 3]], (([1, [2]], 3),)),
        ("Mbpp/2", [[[1], [2]]], (((1,), (2,)),)),
        ("Mbpp/63", [[[[1, 2], [3]]]], (([(1, 2), (3,)],),)),
        ("Mbpp/580", [[[1, [2, [3]]]]], (((1, (2, (3,))),),)),
        ("Mbpp/106", [[[1], [2]]], (([1], (2,)),)),
        ("Mbpp/252", [["1+2j"]], ((1 + 2j,),)),
        ("Mbpp/124", [[1, "2j"]], ((1.0, 2j),)),
        ("HumanEval/2", [[[1]]], (([1],),)),
    ],
)
def test_inputs_get_back_the_types_that_json_took(task_id: str, inputs: list[Any], restored: tuple[Any, ...]) -> None:
    assert restore(task_id, inputs) == restored


def test_floats_may_be_off_by_a_millionth_and_other_values_not_at_all() -> None:
    assert agrees(1.0000005, 1.0)
    assert not agrees(1.00001, 1.0)
    assert agrees([1.0000005], [1.0])
    assert not agrees([1.0000005, 2], [1.0, 2])  # not floats alone
    assert agrees(1, 1.0)
    assert agrees(1.001, 1.0, atol=0.01)
    assert not agrees((1.0000005,), [1.0])


@pytest.mark.parametrize("version", ["0.2", "0.3"])
def test_nothing_is_not_close_to_anything_by_being_empty(version: str) -> None:
    agrees = Agrees("Mbpp/1", version)
    assert agrees([], Expected(5.0, 1e-6, ()))
    assert agrees([[]], Expected([5.0], 1e-6, ()))
    assert agrees(5.0, Expected([], 1e-6, ()))
    assert not agrees(5.0, Expected(5.0, 1e-6, ()))
    assert agrees([[1.0, 2.0], [1.0, 2.0]], Expected([1.0, 2.0], 1e-6, ()))


@pytest.mark.parametrize("version", ["0.2", "0.3"])
def test_no_value_of_a_program_takes_us_long_or_much_to_compare(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    close = Agrees("Mbpp/1", version)
    for value in (range(10**15), [range(10**15)]):  # of which numpy would make an array
        assert close(value, Expected([1.0], 1e-6, ())) == f"expected [1.0], got {value!r}"
    assert close(10**5000, Expected(1, 0.0, ())) == "expected 1, got <int>"
    monkeypatch.setattr("iterpref.codeflow.sandbox.child.untagged.MAX_HASHING_S", 0.01)
    alike = [i * (2**61 - 1) for i in range(5000)]
    assert "keys of one hash" in Agrees("Mbpp/2")(alike, Expected([1], 0.0, ()))
    assert Agrees("Mbpp/2")(range(10**15), Expected([1], 0.0, ())).startswith("expected [1]")


def test_sets_counts_and_anything_at_all_are_enough_where_the_task_says_so() -> None:
    assert agrees([2, 1, 1], [1, 2], "Mbpp/2")
    assert agrees("anything", None, "Mbpp/164")
    assert agrees(0, 5, "Mbpp/295")
    assert not agrees(4, 5, "Mbpp/295")


def test_a_value_that_equals_everything_cannot_come_here_and_nan_is_never_right() -> None:
    assert not agrees(math.nan, 1.0)
    assert not agrees(object(), 1)
    assert isinstance(Agrees("Mbpp/1")(object(), Expected([1], 0.1, ())), str)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[PooledSandbox]:
    box = PooledSandbox(workers=2, allow_unsafe=True)
    yield box
    box.close()


def first_failing(result: RunResult) -> int | None:
    """The first input that did not pass; 0 for a program that does not load."""
    if result.verdict == Verdict.PASS:
        return None
    return next((i for i, test in enumerate(result.tests) if test.status != "pass"), len(result.tests))


def test_both_verdicts_of_a_solution(sandbox: PooledSandbox) -> None:
    half = row("Mbpp/1", "def f(x):\n    return x / 2\n", [[2], [4]], [[3], [-1]])
    tasks = parse_tasks([("line 1", half)])
    known = dict(references(tasks.values(), sandbox))
    assert [known["Mbpp/1", part].values for part in PARTS] == [(1.0, 2.0), (1.5, -0.5)]
    for code, verdicts, failing in (
        ("def f(x):\n    return x * 0.5\n", (True, True), (None, None)),
        ("def f(x):\n    return x // 2\n", (True, False), (None, 0)),
        ("def f(x):\n    return abs(x) / 2\n", (True, False), (None, 1)),
        ("def f(x):\n    return 0\n", (False, False), (0, 0)),
        ("def g(x):\n    return 0\n", (False, False), (0, 0)),
    ):
        ran = [sandbox.run(request(tasks["Mbpp/1"], part, code, known["Mbpp/1", part])) for part in PARTS]
        assert tuple(result.verdict == Verdict.PASS for result in ran) == verdicts, code
        assert tuple(first_failing(result) for result in ran) == failing


def test_a_row_without_a_prompt_is_no_task() -> None:
    with pytest.raises(UserError, match="line 1: expected a task of EvalPlus with .*; it lacks prompt"):
        parse_tasks([("tasks.jsonl, line 1", {"task_id": "Mbpp/1"})])
