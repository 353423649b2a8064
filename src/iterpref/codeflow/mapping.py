"""Rows of any shape as tasks: `problems.mapping.*` says, as Jinja expressions over a row's columns, where each field comes from.

prompt: text ~ "\n\nIt must satisfy: " ~ test_list[0]
tests: test_list | join("\n")
inputs: (input_output | fromjson).inputs
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from jinja2 import Environment, StrictUndefined, Undefined
from jinja2.exceptions import TemplateError

from iterpref.codeflow.sandbox.discover import count_tests
from iterpref.codeflow.suites import NO_TESTS, asserts_suite, stdio_suite
from iterpref.config.codeflow import MappingConfig
from iterpref.errors import UserError
from iterpref.schema import SPLITS, Problem, SourceFile, TestSuite


class Mapping:
    """Compiled once; raises `UserError` for an expression that is none, naming its option."""

    def __init__(self, config: MappingConfig) -> None:
        environment = Environment(undefined=StrictUndefined)
        environment.filters["fromjson"] = json.loads
        self._fields: dict[str, Callable[..., Any]] = {}
        for item in fields(config):
            expression = getattr(config, item.name)
            if expression is None:
                continue
            try:
                self._fields[item.name] = environment.compile_expression(expression, undefined_to_none=False)
            except TemplateError as error:
                raise UserError(f"problems.mapping.{item.name}={expression}: no Jinja expression ({error})") from None

    def problem(self, place: str, row: dict[str, Any], split: str = "train") -> Problem:
        """The task in a row, of `split` unless the mapping says another; raises `UserError` naming the place and the option."""
        prompt = self._text("prompt", row, place)
        if not prompt.strip():
            raise UserError(f"{place}: problems.mapping.prompt gives an empty text; mend or remove this row")
        solution = self._text("solution", row, place)
        split = self._text("split", row, place) or split
        if split not in SPLITS:
            raise UserError(f"{place}: problems.mapping.split gives {split!r}, which is none of {', '.join(SPLITS)}")
        return Problem(
            task_id=self._text("task_id", row, place) or place.rpartition(":")[2],
            prompt=prompt,
            tests=self._tests(row, place),
            reference=(SourceFile("solution.py", solution),) if solution.strip() else (),
            source="jsonl",
            license=self._text("license", row, place) or "unknown",
            category=self._text("category", row, place),
            split=split,
        )

    def _tests(self, row: dict[str, Any], place: str) -> TestSuite:
        try:
            if "inputs" in self._fields:
                inputs, outputs = (self._list(name, row, place) for name in ("inputs", "outputs"))
                return stdio_suite(inputs, outputs)
            text = self._text("tests", row, place)
            if not text.strip():
                return NO_TESTS
            files = (SourceFile("test_solution.py", text),)
            if n_tests := count_tests(files):
                return TestSuite(files, "unittest", n_tests)
            return asserts_suite(text, self._text("setup", row, place))
        except UserError as error:
            raise UserError(f"{place}: {error}") from None

    def _list(self, name: str, row: dict[str, Any], place: str) -> list[str]:
        value = self._value(name, row, place)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value) or not value:
            raise UserError(f"problems.mapping.{name} must give a list of texts that is not empty; {value!r:.80} came")
        return value

    def _text(self, name: str, row: dict[str, Any], place: str) -> str:
        value = self._value(name, row, place)
        if value is None:
            return ""
        if not isinstance(value, (str, int)):
            raise UserError(f"{place}: problems.mapping.{name} must give a text; {value!r:.80} came")
        return str(value).replace("\r\n", "\n")

    def _value(self, name: str, row: dict[str, Any], place: str) -> Any:
        if name not in self._fields:
            return None
        try:
            value = self._fields[name](**row)
            if isinstance(value, Undefined):
                str(value)  # says which column is missing
            return value
        except (TemplateError, ValueError, TypeError) as error:
            columns = ", ".join(sorted(row))
            raise UserError(f"{place}: problems.mapping.{name}: {error}; the columns are {columns}") from None
