"""`python -m iterpref.convert RUN`: a run's checkpoint as a folder that transformers loads, and to the hub with convert.push=OWNER/NAME."""

from __future__ import annotations

from iterpref.cli import folder_argument, named_run, run_command
from iterpref.config import Config


def main(argv: list[str] | None = None) -> None:
    """The command; a first argument that is no override is the run folder."""
    run_command("convert", task, folder_argument(argv))


def task(config: Config) -> None:
    from iterpref.run_record import read_config

    read_config(named_run(config, "convert"))
    # Imported late: neither `--help` nor a folder that is no run must wait for torch.
    from iterpref.models.export import convert

    convert(config)


if __name__ == "__main__":
    main()
