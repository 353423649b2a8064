"""The paper's rule filters (arXiv 2503.02783, section 3): each says whether a pair passes, and what it saw."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence

from iterpref.config import PairsConfig
from iterpref.data.diff import Difference, split_lines
from iterpref.schema import FilterResult, SourceFile


def rule_filters(
    config: PairsConfig,
    rejected: str,
    difference: Difference,
    rejected_files: Sequence[SourceFile],
    chosen_files: Sequence[SourceFile],
) -> tuple[FilterResult, ...]:
    """The rules in the paper's order; a pair is kept when all that are switched on pass.

    The rule on length in tokens needs a tokenizer and is applied with the masks (`data.masking`).
    """
    results = []
    if config.drop_comment_only:
        only = is_comment_only(rejected, difference.d_minus)
        results.append(
            FilterResult("comment_only", not only, "D- holds comments and blank lines alone" if only else "")
        )
    n_lines = len(difference.d_minus)
    results.append(FilterResult("d_minus_lines", n_lines <= config.max_d_minus_lines, f"{n_lines} lines in D-"))
    if config.drop_ast_equal:
        results.append(FilterResult("ast_equal", not ast_equal(rejected_files, chosen_files)))
    if config.empty_d_minus == "drop":
        results.append(FilterResult("empty_d_minus", bool(difference.d_minus)))
    return tuple(results)


def is_comment_only(text: str, lines: Sequence[int]) -> bool:
    """True when there are lines, and each is blank or starts with `#`."""
    all_lines = split_lines(text)
    return bool(lines) and all(not all_lines[i].strip() or all_lines[i].lstrip().startswith("#") for i in lines)


def ast_equal(first: Sequence[SourceFile], second: Sequence[SourceFile]) -> bool:
    """Same file names and equal syntax trees; a file that does not parse is equal only to the same text."""
    if [f.name for f in first] != [f.name for f in second]:
        return False
    return all(_tree(a.text) == _tree(b.text) for a, b in zip(first, second, strict=True))


def _tree(text: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is doubtful in a task's code ("\\d") is no news about ours
            return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
