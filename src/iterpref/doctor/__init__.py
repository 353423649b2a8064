"""What this machine gives, and what to do about the rest. It changes nothing and asks no other machine.

    python -m iterpref.doctor [--json] [--data DIR] [--runs DIR]

One line a finding: ok, warning (it works, not at its best) or missing; below each that is not ok, one command to type or
one override to set. Exit status 0 when the demo and the tests could run here, 1 when something that they need is missing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from iterpref import __version__
from iterpref.doctor import imports, machine, software, walls
from iterpref.doctor.finding import Check, Finding, guarded
from iterpref.output import reader_may_leave

Sections = dict[str, list[Finding]]
STYLES = {"ok": "green", "warning": "yellow", "missing": "bold red"}
ARROW = "->"


def main(arguments: list[str] | None = None) -> None:
    with reader_may_leave():
        _main(arguments)


def _main(arguments: list[str] | None) -> None:
    parser = argparse.ArgumentParser(prog="python -m iterpref.doctor", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="the same as one JSON object, for scripts")
    parser.add_argument("--data", type=Path, default=Path("data_cache"), help="what paths.data will be (data_cache)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that paths.run will lie in (runs)")
    options = parser.parse_args(arguments)
    sections = examine(options.data, options.runs)
    if options.json:
        print(json.dumps(record(sections), indent=2))
    else:
        show(sections, printer(), terminal_width())
    raise SystemExit(exit_status(sections))


def examine(data: Path, runs: Path) -> Sections:
    """All findings by section."""
    folders = partial(machine.check_folders, data, runs)
    folders.__name__ = "check_folders"  # type: ignore[attr-defined]
    plan: dict[str, Sequence[Check]] = {
        "Machine": (machine.check_python, machine.check_cores, machine.check_memory, folders, machine.check_encoding),
        "Sandbox": (walls.check_sandbox,),
        "Packages": (software.check_torch, software.check_triton, software.check_packages, software.check_test_tools),
        "Weights and services": (software.check_weights, software.check_wandb_login, software.check_hub),
    }
    with suppress(OSError):  # the checks that ask will say so
        imports.answers()  # the heavy imports go on in their own process while the rest is looked at
    return {section: [finding for check in checks for finding in guarded(check)] for section, checks in plan.items()}


def exit_status(sections: Sections) -> int:
    return int(any(finding.state == "missing" for findings in sections.values() for finding in findings))


def record(sections: Sections) -> dict[str, Any]:
    """Everything in plain types."""
    rows = [{"section": name, **asdict(finding)} for name, findings in sections.items() for finding in findings]
    return {
        "iterpref": __version__,
        "ok": exit_status(sections) == 0,
        "findings": rows,
        "not_covered": walls.coverage(),
    }


Print = Callable[[str, str], None]
NARROWEST = 30  # characters of a text beside its margin; in less it would be a column of words


def printer() -> Print:
    """`print_(text, style)`, in colour where rich can be imported; long lines stay whole, to be copied."""
    try:
        from rich.console import Console
    except ImportError:
        return lambda text, style: print(text)
    console = Console(highlight=False)
    return lambda text, style: console.print(text, style=style or None, markup=False, soft_wrap=True)


def terminal_width() -> int | None:
    """Columns to wrap text in; None where the output is no terminal, for `grep` and its like want whole lines."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def hanging(margin: str, text: str, columns: int | None) -> str:
    """`text` beside its margin, in lines of at most so many columns; a remedy is not given to this: it is to be copied."""
    if columns is None or len(margin) + len(text) <= columns:
        return margin + text
    indent = " " * (len(margin) if columns - len(margin) >= NARROWEST else 4)
    wrapped = textwrap.wrap(margin + text, max(columns, NARROWEST), subsequent_indent=indent, break_long_words=False,
                            break_on_hyphens=False, drop_whitespace=True)  # fmt: skip
    return "\n".join(wrapped)


def show(sections: Sections, print_: Print, columns: int | None = None) -> None:
    width = max(len(finding.name) for findings in sections.values() for finding in findings)
    for section, findings in sections.items():
        print_(f"\n{section}", "bold")
        for finding in findings:
            margin = f"  {finding.state:<8} {finding.name:<{width}}  "
            print_(hanging(margin, finding.found, columns), STYLES[finding.state])
            if finding.remedy:
                print_(f"  {'':<8} {'':<{width}}  {ARROW} {finding.remedy}", "")
    covered = walls.coverage()
    everywhere = [text for text in next(iter(covered.values()), ()) if all(text in texts for texts in covered.values())]
    for tier, texts in {"any tier": everywhere, **covered}.items():
        print_(f"\nNot covered by {tier}", "bold")
        for text in texts:
            if tier == "any tier" or text not in everywhere:
                print_(hanging("  - ", text, columns), "")
    missing = [finding.name for findings in sections.values() for finding in findings if finding.state == "missing"]
    print_(
        f"\nNeeded and missing: {', '.join(missing)}" if missing else "\nThe demo and the tests can run here.", "bold"
    )


__all__ = ["Finding", "examine", "exit_status", "main", "record", "show"]
