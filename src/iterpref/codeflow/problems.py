"""A raw row becomes a `Problem`: what the user asks, and the frozen tests that judge every version of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from iterpref.codeflow.bank import load_bank
from iterpref.codeflow.mapping import Mapping
from iterpref.codeflow.sandbox.discover import count_tests
from iterpref.codeflow.suites import NO_TESTS
from iterpref.config.codeflow import MappingConfig, ProblemsConfig
from iterpref.errors import UserError, nearest_file
from iterpref.json_lines import BadRow, json_lines
from iterpref.registry import SOURCES
from iterpref.schema import SPLITS, Problem, SourceFile, TestSuite

_FIELDS = ("task_id", "prompt", "tests", "solution", "split", "category", "source", "license")


def load_problems(config: ProblemsConfig, data: Path = Path("data_cache")) -> list[Problem]:
    """All problems of a source that needs no language model, in a fixed order; raises `UserError` when there are none.

    `data` is where `datasets` may keep what it converts.
    """
    if SOURCES.is_added(config.source):
        problems = list(SOURCES.get(config.source)(config))
    elif config.source == "bank":
        problems = load_bank()
    elif config.source == "hub":
        from iterpref.codeflow.hub import read_hub

        problems = read_hub(config, data)
    else:
        problems = read_jsonl(Path(str(config.path)), config.mapping)
    if not problems:
        raise UserError(
            f"problems={config.source}: there is no task in {config.path or 'the bank'}; at least one was expected"
        )
    return take_evenly(problems, config.limit) if config.limit else problems


def take_evenly(problems: Iterable[Problem], limit: int) -> list[Problem]:
    """The first `limit` problems, drawn from the splits in turn so that a small limit still has held-out tasks."""
    by_split: dict[str, list[Problem]] = {split: [] for split in SPLITS}
    for problem in problems:
        by_split[problem.split].append(problem)
    # Two of train for one of each other split.
    train = iter(by_split["train"])
    turns = zip_longest(train, train, by_split["validation"], by_split["test"])
    chosen = [p for turn in turns for p in turn if p is not None][:limit]
    return sorted(chosen, key=lambda p: p.task_id)


def read_jsonl(path: Path, mapping: MappingConfig | None = None) -> list[Problem]:
    """One problem a line: `task_id`, `prompt`, `tests` (text, or {file name: text}), `solution` (likewise), `split`, ...

    Without `tests` the author writes them. With a `mapping` that says where a prompt comes from, lines have any columns.

    Raises:
        UserError: naming file and line, for anything that is not a complete task.
    """
    if not path.is_file():
        if path.is_dir():
            raise UserError(
                f"problems.path={path}: JSON lines were expected, and it is a folder; problems=hub reads one"
            )
        raise UserError(f"problems.path={path}: there is no such file{nearest_file(path)}")
    return read_rows(_lines(path), mapping)


class Row(NamedTuple):
    place: str  # FILE:LINE, or what else ends in a colon and a name within
    values: dict[str, Any]
    split: str = "train"  # of a task that says none


def read_rows(rows: Iterable[Row], mapping: MappingConfig | None) -> list[Problem]:
    """The tasks in rows: see `read_jsonl`."""
    mapped = Mapping(mapping) if mapping is not None and mapping.prompt is not None else None
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for row in rows:
        problem = mapped.problem(*row) if mapped else _native(*row)
        if problem.task_id in seen:
            raise UserError(f"{row.place}: task_id '{problem.task_id}' stands in {seen[problem.task_id]} already")
        seen[problem.task_id] = row.place
        problems.append(problem)
    return problems


def _lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as handle:
        for number, values in json_lines(handle):
            place = f"{path}:{number}"
            if isinstance(values, BadRow):
                # What is no JSON lines at all shows in the first one.
                others = f"; JSON lists, Parquet and CSV are read by problems=hub problems.path={path}"
                raise UserError(f"{place}: {values.reason}; mend or remove this line{others if number == 1 else ''}")
            try:
                json.dumps(values, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                half = error.object[error.start]
                raise UserError(
                    f"{place}: {half!r} is half of a character, which no file can hold; mend this line"
                ) from None
            yield Row(place, values)


def _native(place: str, row: dict[str, Any], split: str) -> Problem:
    unknown = sorted(set(row) - set(_FIELDS))
    if unknown:
        raise UserError(
            f"{place}: unknown field '{unknown[0]}'; the fields are {', '.join(_FIELDS)}. Rows of another shape, such as inputs with "
            "outputs, are read with problems.mapping.prompt=prompt problems.mapping.inputs=inputs and so on; problems=stdio and problems=mbpp are examples"
        )
    for name in ("task_id", "prompt"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise UserError(f"{place}: '{name}' must be a text that is not empty, {row.get(name)!r} came")
    split = row.get("split", split)
    if split not in SPLITS:
        raise UserError(f"{place}: split={split!r} is none of {', '.join(SPLITS)}")
    solution = row.get("solution")
    return Problem(
        task_id=row["task_id"],
        prompt=row["prompt"],
        tests=_suite(row, place),
        reference=_files(solution, "solution.py", f"{place}: 'solution'") if solution else (),
        source=str(row.get("source") or "jsonl"),
        license=str(row.get("license") or "unknown"),
        category=str(row.get("category") or ""),
        split=split,
    )


def _suite(row: dict[str, Any], place: str) -> TestSuite:
    if "tests" not in row:
        return NO_TESTS
    tests = _files(row["tests"], "test_solution.py", f"{place}: 'tests'")
    try:
        n_tests = count_tests(tests)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
    if n_tests == 0:
        raise UserError(
            f"{place}: 'tests' of {row['task_id']} holds no unittest test method; at least one was expected. Bare asserts are "
            "read with problems.mapping.prompt=prompt problems.mapping.tests=tests, and so on for the other fields"
        )
    return TestSuite(tests, "unittest", n_tests)


def _files(value: Any, default_name: str, place: str) -> tuple[SourceFile, ...]:
    if isinstance(value, str) and value.strip():
        return (SourceFile(default_name, value),)
    if isinstance(value, dict) and value and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        return tuple(SourceFile(name, text) for name, text in sorted(value.items()))
    raise UserError(f"{place} must be a text, or an object of file names and texts; {value!r:.80} came")
