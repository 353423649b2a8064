"""Pairs of real code for benchmarks: functions of the running Python's own library, and the same with one to three lines spoiled.

    python -m iterpref.bench.code_pairs FILE --pairs 6400 [--whole]       for --pairs-file of the other benches

Only their shape matters here: a chosen and a rejected version that share the prompt and most of their code, or (`alike=False`)
the prompt alone. Nothing is executed.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import re
import sysconfig
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from iterpref.bench.arguments import at_least, output_file
from iterpref.cli import run_task
from iterpref.config import Config
from iterpref.data.diff import localise
from iterpref.data.masking import tokenise_pairs
from iterpref.errors import UserError
from iterpref.schema import Example, PreferencePair

_LINES = range(15, 111)  # of a function
_PROMPT_CHARACTERS = 900
# Each is a slip of a programmer's: what stands in a line, and what it becomes.
_SLIPS = [
    (r" == ", " != "), (r" < ", " <= "), (r" > ", " >= "), (r" \+ ", " - "), (r" and ", " or "), (r"\bnot ", ""),
    (r"\bTrue\b", "False"), (r"\bNone\b", "0"), (r"\b1\b", "2"), (r"\b0\b", "1"), (r"\breturn .+", "return None"),
    (r"self\.(\w+)", r"self._\1"), (r"\((\w+), (\w+)", r"(\2, \1"),
]  # fmt: skip


def code_pairs(n: int, seed: int = 0, alike: bool = True, whole: bool = False) -> list[PreferencePair]:
    """`n` pairs, the same for the same Python and seed; raises `ValueError` when its library (`whole`: in all its folders) has too
    few functions."""
    rng = random.Random(seed)
    functions = sorted(
        (node.name, ast.get_docstring(node) or "", textwrap.dedent(source))
        for node, source in library_functions(_LINES, whole)
    )
    if len(functions) < n:
        raise ValueError(f"{n} pairs asked for, but this Python's library has {len(functions)} functions for them")
    rng.shuffle(functions)
    pairs: list[PreferencePair] = []
    for i, (name, purpose, source) in enumerate(functions):
        wrong = _spoiled(source, rng) if alike else functions[(i + 1) % len(functions)][2]
        if wrong == source:
            continue
        prompt = f"Complete the Python function `{name}`. {purpose[:_PROMPT_CHARACTERS] or 'Its name says what it does.'}\nAnswer with code only.\n"
        pairs.append(_pair(len(pairs), prompt, _fenced(source), _fenced(wrong)))
        if len(pairs) == n:
            return pairs
    raise ValueError(f"{n} pairs asked for, but this Python's library gives {len(pairs)}")


def read_pairs(path: Path, n: int) -> list[PreferencePair]:
    """The first `n` pairs of a JSON list of `{"prompt", "chosen", "rejected"}`; raises `UserError` when it has fewer, or is none."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))[:n]
        pairs = [_pair(number, row["prompt"], row["chosen"], row["rejected"]) for number, row in enumerate(rows)]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"--pairs-file {path}: expected a JSON list of objects with the texts prompt, chosen and rejected ({error!r})"
        ) from None
    if len(pairs) < n:
        raise UserError(f"--pairs-file {path}: {n} pairs are asked for, and it has {len(pairs)}")
    return pairs


def tokenised(pairs: list[PreferencePair], tokenizer: Any, config: Config) -> list[Example]:
    """The pairs as a run of this config would train on them, prompts as they are."""
    examples, _ = tokenise_pairs(pairs, [p.prompt for p in pairs], tokenizer, config.mask, config.data)
    return examples


def library_functions(n_lines: range, whole: bool = False) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Each function of so many lines in the top folder of the running Python's library, or in all folders but those of installed
    packages, in order, with its lines as they stand."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py") if whole else root.glob("*.py")):
        if "site-packages" in path.parts:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text)
        except SyntaxError:
            continue
        lines = text.split("\n")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 in n_lines:
                yield node, "\n".join(lines[node.lineno - 1 : node.end_lineno])


def _spoiled(source: str, rng: random.Random) -> str:
    lines = source.split("\n")
    wanted = rng.randint(1, 3)
    for i in rng.sample(range(1, len(lines)), len(lines) - 1):
        slips = [(pattern, by) for pattern, by in _SLIPS if re.search(pattern, lines[i])]
        if wanted and slips and not lines[i].lstrip().startswith("#"):
            lines[i] = re.sub(*rng.choice(slips), lines[i], count=1)
            wanted -= 1
    return "\n".join(lines)


def _fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def _pair(number: int, prompt: str, chosen: str, rejected: str) -> PreferencePair:
    difference = localise(rejected, chosen)
    return PreferencePair(
        pair_id=f"code/{number:05d}", task_id=f"code/{number:05d}", split="train", category="", prompt=prompt, chosen=chosen,
        rejected=rejected, chosen_iter=-1, rejected_iter=-1, tests_sha256="", d_minus=difference.d_minus,
        d_plus=difference.d_plus, d_minus_spans=difference.d_minus_spans, d_plus_spans=difference.d_plus_spans,
        diff_algo="lcs", empty_policy="literal", ast_equal=False, source="benchmark",
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=output_file, help="JSON list of prompt, chosen, rejected")
    parser.add_argument("--pairs", type=at_least(1), default=1024)
    parser.add_argument("--whole", action="store_true", help="of all folders of Python's library, its tests among them")
    a = parser.parse_args(argv)
    try:
        pairs = code_pairs(a.pairs, whole=a.whole)
    except ValueError as error:
        parser.error(f"--pairs: {error}")
    a.file.write_text(json.dumps([{"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in pairs]))


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
