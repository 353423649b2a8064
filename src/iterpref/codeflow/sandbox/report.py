"""Text for people and models: cleaned of what differs from run to run, and cut to a size that one wants to read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache

from iterpref.codeflow.sandbox.protocol import RunResult, TestOutcome

MAX_REPORT = 16_000  # characters of all failed tests together
SHORT = 100  # characters of a text that is worth remembering
MAX_OWN_STDERR = 2_000  # characters of the program's own standard error, its end

# Control characters drive a terminal, the two ranges after them reverse the order of what one reads, and a lone surrogate
# cannot be written to any file.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
THREAD = re.compile(r"(, (?:started|stopped)(?: daemon)?) \d+(?=\)>)")
LIBRARY = os.path.dirname(os.path.realpath(os.__file__))


def clean(text: str, folder: str) -> str:
    """`text` without addresses, thread numbers, our folders and control characters."""
    return _clean_short(text, folder) if len(text) <= SHORT else _clean(text, folder)


@lru_cache(maxsize=4096)
def _clean_short(text: str, folder: str) -> str:
    """Names of tests come again and again."""
    return _clean(text, folder)


def _clean(text: str, folder: str) -> str:
    text = text.replace(f"{folder}/work", ".").replace(f"{folder}/tmp", "/tmp").replace(LIBRARY, "<python>")
    # How the child reaches a library that its user cannot see by name.
    text = re.sub(r"/proc/self/fd/\d+/", "<python>/", text)
    text = THREAD.sub(r"\1", ADDRESS.sub(" at 0x...", text))
    return CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


def failures(tests: Sequence[TestOutcome], headline: str, own_stderr: str) -> str:
    """The `stderr` of a result: what ended the run, each test that did not pass, then the program's own words."""
    blocks = [headline] if headline else []
    left = MAX_REPORT
    bad = [test for test in tests if test.status != "pass"]
    for n_shown, test in enumerate(bad):
        block = f"{test.status.upper()}: {test.name}\n{test.message}".rstrip()
        if len(block) > left:
            blocks.append(f"... and {len(bad) - n_shown} more tests that did not pass")
            break
        blocks.append(block)
        left -= len(block)
    if own_stderr.strip():
        blocks.append(f"Standard error of the program:\n{own_stderr[-MAX_OWN_STDERR:].strip()}")
    return "\n\n".join(blocks)


def feedback(result: RunResult, max_chars: int = 2000) -> str:
    """What the reviser is told: the verdict, the failed tests, the end of standard output if there is room for it."""
    total = result.n_pass + result.n_fail
    head = f"{result.verdict}: {result.detail}" if result.detail else str(result.verdict)
    text = f"{head} ({result.n_pass} of {total} tests passed)"
    if result.stderr:
        text += f"\n\n{result.stderr}"
    printed = result.stdout.strip()
    room = max_chars - len(text) - 40
    if printed and room > 100:
        text += f"\n\nStandard output (its end):\n{printed[-room:]}"
    if len(text) <= max_chars:
        return text
    note = "\n... cut ...\n"
    # The first failure matters most; the end holds the exception that a long traceback leads to.
    keep = max(max_chars - len(note), 0)
    tail = keep // 4
    return (text[: keep - tail] + note + (text[-tail:] if tail else ""))[:max_chars]
