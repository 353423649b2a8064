"""python -m iterpref.export FOLDER: the pairs as a data set that `datasets` and TRL open as it is, with its card."""

from __future__ import annotations

from pathlib import Path

from iterpref.cli import folder_argument, run_command
from iterpref.config import Config
from iterpref.errors import UserError


def main(argv: list[str] | None = None) -> None:
    """The command; a first argument that is no override is the folder."""
    run_command("export", export, folder_argument(argv, "export.path"))


def export(config: Config) -> Path:
    """Prepares the pairs if they are not there yet, and writes them to `export.path`."""
    from iterpref.codeflow.export import check_folder, export_pairs
    from iterpref.codeflow.push import Hub
    from iterpref.data.stages import prepare_pairs

    if config.export.path is None:
        raise UserError("there is no folder to write to: python -m iterpref.export FOLDER")
    folder = Path(config.export.path).expanduser()
    check_folder(folder)  # before any long work
    hub = Hub(config.export.push_to_hub, config.export.private) if config.export.push_to_hub else None
    if hub:
        hub.check()
    trajectories, pairs = prepare_pairs(config)
    export_pairs(pairs, trajectories, folder, config.export.form, config.export.push_to_hub)
    splits = ", ".join(f"{split}: {count}" for split, count in pairs.manifest["counts"]["splits"].items())
    print(f"{pairs.manifest['counts']['pairs']} pairs ({splits}) in {folder}")
    print(f'from datasets import load_dataset; load_dataset("{folder}")')
    if hub:
        print(hub.push(folder))
    return folder


if __name__ == "__main__":
    main()
