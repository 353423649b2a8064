"""An export on the Hugging Face hub: nothing goes up before the folder is whole, and nothing of others is replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iterpref.codeflow.export import MARKER, check_folder
from iterpref.errors import UserError
from iterpref.hub import Repository


class Hub:
    """The data set `repo` (OWNER/NAME), as the user who is logged in. Raises `UserError` with what to change, wherever it can know."""

    def __init__(self, repo: str, private: bool, api: Any = None) -> None:
        self._repository = Repository("export.push_to_hub", repo, "dataset", private, api)

    def check(self) -> None:
        """The user may write there, and what stands there is ours or nothing."""
        self._repository.check()
        if self._repository.exists() and not self._repository.has(MARKER):
            raise UserError(
                f"{self._repository.place}: a data set of that name is there, and it is no export of ours (it has no {MARKER}): "
                "choose another name, or delete it first"
            )

    def push(self, folder: Path) -> str:
        """Uploads a finished export in one commit, after its files were held against their hashes; the address."""
        check_folder(folder)
        if not (folder / MARKER).is_file():
            raise UserError(f"{folder} holds no finished export: run python -m iterpref.export {folder} first")
        # Splits of an earlier export that this one lacks go with the same commit.
        return self._repository.upload(folder, "Preference pairs by IterPref", delete="data/*.parquet")
