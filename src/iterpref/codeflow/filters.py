"""The paper's rule filters (arXiv 2503.02783, section 3), normalised: each says whether a pair passes, and what it saw.

A rule that cannot be applied (no Python in the answer, an answer that does not parse) passes, and its detail says why.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from iterpref.codeflow.code import Completion, as_bare, code_tokens, line_kinds, parse, same_trees
from iterpref.config import PairsConfig
from iterpref.data.diff import Difference, split_lines
from iterpref.schema import FilterResult

_NO_PYTHON = "not applied: "


def rule_filters(
    config: PairsConfig, rejected: Completion, chosen: Completion, difference: Difference
) -> tuple[FilterResult, ...]:
    """The rules in the paper's order; a pair is kept when all that are switched on pass.

    The rule on length in tokens needs a tokenizer and is applied with the masks (`data.masking`).
    """
    if chosen.kind == "bare":
        rejected = as_bare(rejected)
    elif rejected.kind == "bare":
        chosen = as_bare(chosen)
    # Two equal texts prefer nothing, whatever the switches say.
    results = [FilterResult("identical", not same_text(rejected.text, chosen.text))]
    if config.drop_comment_only:
        results.append(comment_only(rejected, chosen, difference, config.docstrings))
    n_lines = len(difference.d_minus)
    results.append(FilterResult("d_minus_lines", n_lines <= config.max_d_minus_lines, f"{n_lines} lines in D-"))
    if config.drop_ast_equal:
        equal, detail = trees_equal(rejected, chosen, config.docstrings)
        results.append(FilterResult("ast_equal", not equal, detail))
    if config.drop_unparsable_chosen:
        results.append(_chosen_parses(chosen))
    if config.empty_d_minus == "drop":
        results.append(FilterResult("empty_d_minus", bool(difference.d_minus)))
    return tuple(results)


def same_text(first: str, second: str) -> bool:
    """Equal but for line endings and white space at the end of lines."""
    return first == second or [s.rstrip() for s in first.rstrip().split("\n")] == [
        s.rstrip() for s in second.rstrip().split("\n")
    ]


def comment_only(rejected: Completion, chosen: Completion, difference: Difference, docstrings: str) -> FilterResult:
    """Fails when no line of D- holds code: comments, blank lines, fence lines and, with `docstrings="ignore"`, docstrings.

    It fails too when both programs have the same tokens but for comments: a comment behind code was changed.
    """
    name = "comment_only"
    if not difference.d_minus:
        return FilterResult(name, True)
    if not rejected.blocks:
        return FilterResult(name, True, _NO_PYTHON + rejected.reason)
    if _plainly_code(rejected, difference):
        return FilterResult(name, True)
    kinds = _kinds(rejected)
    seen = {kinds.get(line, "text") for line in difference.d_minus}
    if docstrings == "ignore" and "docstring" in seen and seen <= {"docstring", "comment", "blank", "fence"}:
        return FilterResult("docstring_only", False, "D- holds docstrings, comments and blank lines alone")
    if "comment" in seen and seen <= {"comment", "blank", "fence"}:
        return FilterResult(name, False, "D- holds comments and blank lines alone")
    if seen <= {"blank", "fence"} and "blank" in seen:
        return FilterResult(name, False, "D- holds blank lines alone")
    if _only_comments_differ(rejected, chosen):
        return FilterResult(name, False, "the two programs differ in comments alone")
    return FilterResult(name, True)


def trees_equal(rejected: Completion, chosen: Completion, docstrings: str = "compare") -> tuple[bool, str]:
    """Whether the Python of both has equal syntax trees, block by block, and what was seen."""
    for side, completion in (("y-", rejected), ("y+", chosen)):
        if not completion.blocks:
            return False, f"{_NO_PYTHON}{side} has {completion.reason}"
    if len(rejected.blocks) != len(chosen.blocks):
        return False, f"{len(rejected.blocks)} programs in y-, {len(chosen.blocks)} in y+"
    if _names_of_files(rejected) != _names_of_files(chosen):
        return False, "other file names"
    equal = True
    for bad, good in zip(rejected.blocks, chosen.blocks, strict=True):
        if bad.code == good.code:
            continue
        bad_tree, good_tree = parse(bad.code), parse(good.code)
        if isinstance(bad_tree, str):
            # Not running at all is a fault like any other.
            return False, f"y- does not parse ({bad_tree})"
        if isinstance(good_tree, str):
            return False, f"y+ does not parse ({good_tree})"
        # Who reads its docstrings at run time is changed by them.
        read = "__doc__" in bad.code or "doctest" in bad.code
        equal = equal and same_trees(bad_tree, good_tree, "compare" if read else docstrings)
    return equal, "equal syntax trees" if equal else ""


def chosen_fault(chosen: Completion) -> str:
    """Why the Python of y+ does not parse, or an empty text: a y+ that passed its tests always parses."""
    for block in chosen.blocks:
        tree = parse(block.code)
        if not isinstance(tree, ast.Module):
            return tree
    return ""


def _chosen_parses(chosen: Completion) -> FilterResult:
    if not chosen.blocks:
        return FilterResult("chosen_parses", True, _NO_PYTHON + chosen.reason)
    fault = chosen_fault(chosen)
    return FilterResult("chosen_parses", not fault, fault)


def _plainly_code(rejected: Completion, difference: Difference) -> bool:
    """Some line of D- is code by its looks, and no text over several lines could make it anything else: saves the tokenizer."""
    if any(mark in block.code for block in rejected.blocks for mark in ('"""', "'''")):
        return False
    lines = split_lines(rejected.text)
    inside = [i for i in difference.d_minus if any(b.start <= i < b.end for b in rejected.blocks)]
    return any(lines[i].strip() and lines[i].lstrip()[0] not in "#\"'rRuUbB" and "#" not in lines[i] for i in inside)


def _kinds(completion: Completion) -> dict[int, str]:
    """What the lines hold; lines of prose are absent."""
    kinds: dict[int, str] = {}
    for block in completion.blocks:
        kinds |= dict(enumerate(line_kinds(block.code), block.start))
        if completion.kind == "fenced":
            kinds |= {block.start - 1: "fence", block.end: "fence"}
    return kinds


def _only_comments_differ(rejected: Completion, chosen: Completion) -> bool:
    if len(rejected.blocks) != len(chosen.blocks) or _outside(rejected) != _outside(chosen):
        return False
    tokens = [(code_tokens(a.code), code_tokens(b.code)) for a, b in zip(rejected.blocks, chosen.blocks, strict=True)]
    if any(a is None or a != b for a, b in tokens):
        return False
    return any(_comments(a.code) != _comments(b.code) for a, b in zip(rejected.blocks, chosen.blocks, strict=True))


def _comments(code: str) -> list[str]:
    return [line.partition("#")[2].strip() for line in split_lines(code) if "#" in line]


def _outside(completion: Completion) -> list[str]:
    inside = {i for block in completion.blocks for i in range(block.start, block.end)}
    return [line.strip() for i, line in enumerate(split_lines(completion.text)) if i not in inside and line.strip()]


def _names_of_files(completion: Completion) -> Sequence[str]:
    return [line for line in _outside(completion) if line.startswith("<file>")]
