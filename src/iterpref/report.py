"""`python -m iterpref.report RUN`: one self-contained HTML page about a run, `RUN/report.html`."""

from __future__ import annotations

from pathlib import Path

from iterpref.cli import folder_argument, named_run, run_command
from iterpref.config import Config


def main(argv: list[str] | None = None) -> None:
    """The command; a first argument that is no override is the run folder."""
    run_command("report", task, folder_argument(argv))


def task(config: Config) -> None:
    """Writes the page and prints its path."""
    run = named_run(config, "report")
    # Imported late: `--help` must not wait for pyarrow and matplotlib.
    from iterpref.reporting.page import write_report

    print(write_report(run, Path(config.paths.data), config.report))


if __name__ == "__main__":
    main()
