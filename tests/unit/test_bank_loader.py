"""The bank's loader: what a task file turns into, and what a broken one says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iterpref.codeflow.bank import MARK, load_bank, read_task
from iterpref.errors import UserError

TASK = '''"""Write `total_fee(minutes)` for a garage.

    Every started hour costs RATE; zero minutes cost nothing.
"""

import math
from dataclasses import dataclass, field

RATE = 250
_HIDDEN = 3
LIMIT = 24


class FeeError(ValueError):
    """Minutes out of range."""


@dataclass(frozen=True)
class Ticket(object):
    """A stay; café size."""

    minutes: int = 0  # "é" above: columns are bytes
    notes: list[str] = field(default_factory=list)
    _cache: int = 0

    def __post_init__(self) -> None:
        self._check()

    @property
    def hours(self) -> int:
        return math.ceil(self.minutes / 60)

    def _check(self) -> None:
        if self.minutes < 0:
            raise FeeError


# comments stay with the solution
def _round(value: float, cap: int = _HIDDEN) -> int:
    return math.ceil(value)


def total_fee(
    minutes: int,
    *,
    limit: int = LIMIT,
) -> int:
    return _round(minutes / 60) * RATE


# --- tests ---

import unittest


class TestTotalFee(unittest.TestCase):
    def helper(self) -> int:
        return RATE

    def test_an_hour(self) -> None:
        self.assertEqual(total_fee(60), self.helper())

    def test_errors(self) -> None:
        with self.assertRaises(FeeError):
            Ticket(-1)


class Plain:
    def test_this_is_not_collected(self) -> None: ...
'''

PROMPT = """Write `total_fee(minutes)` for a garage.

Every started hour costs RATE; zero minutes cost nothing.

Use this signature:

```python
RATE = 250

LIMIT = 24

class FeeError(ValueError): ...

@dataclass(frozen=True)
class Ticket(object):
    minutes: int = 0
    notes: list[str] = field(default_factory=list)
    def __post_init__(self) -> None: ...
    @property
    def hours(self) -> int: ...

def total_fee(
    minutes: int,
    *,
    limit: int = LIMIT,
) -> int: ...
```"""

SHORT = '"""Say hello."""\n\n\ndef f() -> int:\n    return 1\n\n\n# --- tests ---\n\nimport unittest\n\n\n'
SHORT += "class TestF(unittest.TestCase):\n    def test_f(self) -> None:\n        self.assertEqual(f(), 1)\n"


def write(root: Path, text: str = SHORT, name: str = "garage/fee") -> Path:
    path = root / "tasks" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def splits(root: Path, validation: object = (), test: object = ()) -> None:
    (root / "splits.json").write_text(json.dumps({"validation": validation, "test": test}))


def test_a_file_becomes_instruction_and_signatures(tmp_path: Path) -> None:
    problem = read_task(write(tmp_path, TASK))
    assert problem.prompt == PROMPT
    assert (problem.task_id, problem.category, problem.split) == ("bank/garage/fee", "garage", "train")
    assert (problem.source, problem.license) == ("bank", "Apache-2.0")


def test_the_reference_is_everything_between_docstring_and_marker(tmp_path: Path) -> None:
    (reference,) = read_task(write(tmp_path, TASK)).reference
    start, end = TASK.index("import math"), TASK.index("\n\n\n" + MARK)
    assert reference.name == "solution.py"
    assert reference.text == TASK[start:end] + "\n"


def test_the_tests_import_the_names_they_use_and_no_others(tmp_path: Path) -> None:
    suite = read_task(write(tmp_path, TASK)).tests
    (file,) = suite.files
    assert file.name == "test_solution.py"
    assert file.text == "from solution import FeeError, RATE, Ticket, total_fee\n" + TASK.split(MARK + "\n")[1]
    assert (suite.framework, suite.n_tests, suite.coverage) == ("unittest", 2, None)


def test_a_short_file_exactly(tmp_path: Path) -> None:
    problem = read_task(write(tmp_path))
    assert problem.prompt == "Say hello.\n\nUse this signature:\n\n```python\ndef f() -> int: ...\n```"
    assert problem.reference[0].text == "def f() -> int:\n    return 1\n"
    assert problem.tests.files[0].text == "from solution import f\n" + SHORT.split(MARK + "\n")[1]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("def f() -> int:", "def f( -> int:", 4, "syntax error"),
        ("def f() -> int:", "def f():", 4, "no return type"),
        (MARK, "# tests", 1, "found 0"),
        ("import unittest\n", f"{MARK}\nimport unittest\n", 10, "found 2"),
        ('"""Say hello."""', "", 1, "docstring"),
        ('"""Say hello."""', '"""  """', 1, "docstring"),
        ("def test_f", "def check_f", 8, "found none"),
        ("f(), 1", "1, 1", 8, "they use none"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    path = write(tmp_path, SHORT.replace(old, new))
    with pytest.raises(UserError) as caught:
        read_task(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert says in str(caught.value)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(b'"""\xff"""')
    with pytest.raises(UserError, match="UTF-8"):
        read_task(path)


def test_splits_json_decides_the_split_and_the_rest_is_train(tmp_path: Path) -> None:
    for name in ("b/two", "a/three", "a/one"):
        write(tmp_path, name=name)
    splits(tmp_path, validation=["bank/a/three"], test=["bank/b/two"])
    rows = [(problem.task_id, problem.split) for problem in load_bank(tmp_path)]
    assert rows == [("bank/a/one", "train"), ("bank/a/three", "validation"), ("bank/b/two", "test")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"validation": ["bank/a/gone"], "test": []}', "bank/a/gone"),
        ('{"validation": ["bank/a/one"], "test": ["bank/a/one"]}', "listed twice"),
        ('{"validation": []}', "exactly these two keys"),
        ('{"validation": [], "test": "bank/a/one"}', "strings"),
        ("[", "restore"),
    ],
)
def test_a_broken_splits_json_is_a_user_error(tmp_path: Path, text: str, says: str) -> None:
    write(tmp_path, name="a/one")
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(UserError, match=says) as caught:
        load_bank(tmp_path)
    assert str(tmp_path / "splits.json") in str(caught.value)


def test_a_missing_splits_json_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"splits\.json"):
        load_bank(tmp_path)


def test_changing_the_returned_list_leaves_the_bank_alone(tmp_path: Path) -> None:
    write(tmp_path)
    splits(tmp_path)
    load_bank(tmp_path).clear()
    assert len(load_bank(tmp_path)) == 1


def test_every_task_of_the_bank_loads_and_has_its_own_name() -> None:
    bank = load_bank()
    names = [problem.task_id.rsplit("/", 1)[1] for problem in bank]
    assert bank
    assert [problem.task_id for problem in bank] == sorted({problem.task_id for problem in bank})
    assert len(set(names)) == len(names)


def test_every_task_of_the_bank_compiles_and_its_tests_use_public_names_only() -> None:
    for problem in load_bank():
        for file in (*problem.reference, *problem.tests.files):
            compile(file.text, file.name, "exec")
        imported = problem.tests.files[0].text.split("\n")[0].removeprefix("from solution import ").split(", ")
        assert not [name for name in imported if name.startswith("_")], problem.task_id
        assert problem.tests.n_tests >= 6, problem.task_id
