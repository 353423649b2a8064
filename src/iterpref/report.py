"""`python -m iterpref.report RUN`: one self-contained HTML page about a run, `RUN/report.html`."""

from __future__ import annotations

import sys
from pathlib import Path

from iterpref.cli import run_command
from iterpref.config import Config


def main(argv: list[str] | None = None) -> None:
    """The command; a first argument that is no override is the run folder."""
    run_command("report", task, with_run_folder(sys.argv[1:] if argv is None else argv))


def task(config: Config) -> None:
    """Writes the page and prints its path."""
    # Imported late: `--help` must not wait for pyarrow and matplotlib.
    from iterpref.reporting.page import write_report

    print(write_report(Path(config.paths.run), Path(config.paths.data), config.report))


def with_run_folder(arguments: list[str]) -> list[str]:
    """`["runs/a b", ...]` -> `["paths.run='runs/a b'", ...]`; a folder of a sweep may have `=` in its name."""
    if not arguments or arguments[0].startswith("-") or ("=" in arguments[0] and not Path(arguments[0]).is_dir()):
        return arguments
    return [f"paths.run={_quoted(arguments[0])}", *arguments[1:]]


def _quoted(text: str) -> str:
    # Hydra reads backslashes as escapes only where they stand before a quote, and the end of the text is such a place.
    parts = text.split("'")
    return "'" + "\\'".join(part + "\\" * (len(part) - len(part.rstrip("\\"))) for part in parts) + "'"


if __name__ == "__main__":
    main()
