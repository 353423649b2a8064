"""An export on the Hugging Face hub: what stands in the way is told before any long work, and nothing goes up before the folder is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iterpref.codeflow.export import MARKER, check_folder
from iterpref.errors import UserError

_LOGIN = "log in with `hf auth login`, or set HF_TOKEN to a token with write access"


class Hub:
    """The data set `repo` (OWNER/NAME), as the user who is logged in. Raises `UserError` with what to change, wherever it can know."""

    def __init__(self, repo: str, private: bool, api: Any = None) -> None:
        from huggingface_hub import HfApi

        self.repo, self._private, self._api = repo, private, api or HfApi()

    def check(self) -> None:
        """The name is one, somebody is logged in and may write there, and what stands there is ours or nothing."""
        from huggingface_hub.utils import HFValidationError, validate_repo_id

        owner, slash, name = self.repo.partition("/")
        try:
            validate_repo_id(self.repo)
        except HFValidationError as error:
            raise UserError(f"export.push_to_hub={self.repo}: {error}; OWNER/NAME was expected") from None
        if not slash:
            raise UserError(f"export.push_to_hub={self.repo}: OWNER/NAME was expected, such as YOU/{name or owner}")
        user = self._ask(self._api.whoami)
        mine = [user.get("name"), *(org.get("name") for org in user.get("orgs") or [])]
        if owner not in mine:
            raise UserError(
                f"export.push_to_hub={self.repo}: the token is {user.get('name')}'s, who may write for {', '.join(map(str, mine))}; "
                f"name one of these as owner, or {_LOGIN}"
            )
        role = ((user.get("auth") or {}).get("accessToken") or {}).get("role")
        if role == "read":
            raise UserError(f"export.push_to_hub={self.repo}: the token may only read; {_LOGIN}")
        exists = self._ask(lambda: self._api.repo_exists(self.repo, repo_type="dataset"))
        if exists and not self._ask(lambda: self._api.file_exists(self.repo, MARKER, repo_type="dataset")):
            raise UserError(
                f"export.push_to_hub={self.repo}: a data set of that name is there, and it is no export of ours (it has no {MARKER}): "
                "choose another name, or delete it first"
            )

    def push(self, folder: Path) -> str:
        """Uploads a finished export in one commit, after its files were held against their hashes; the address."""
        check_folder(folder)
        if not (folder / MARKER).is_file():
            raise UserError(f"{folder} holds no finished export: run python -m iterpref.export {folder} first")
        self._ask(lambda: self._api.create_repo(self.repo, repo_type="dataset", private=self._private, exist_ok=True))
        # Splits of an earlier export that this one lacks go with the same commit.
        self._ask(lambda: self._api.upload_folder(
            repo_id=self.repo, repo_type="dataset", folder_path=folder, delete_patterns="data/*.parquet",
            commit_message="Preference pairs by IterPref",
        ))  # fmt: skip
        return f"https://huggingface.co/datasets/{self.repo}"

    def _ask(self, call: Callable[[], Any]) -> Any:
        with _told(self.repo):
            return call()


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """What goes wrong on the way to the hub, as the user can mend it."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    place = f"export.push_to_hub={repo}"
    try:
        yield
    except LocalTokenNotFoundError:
        raise UserError(f"{place}: nobody is logged in; {_LOGIN}") from None
    except OfflineModeIsEnabled:
        raise UserError(f"{place}: HF_HUB_OFFLINE is set; unset it to push") from None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        said = " ".join(str(error).split())[:300]
        remedies = {401: f"the token is refused; {_LOGIN}", 403: f"the token may not write there; {_LOGIN}"}
        remedy = remedies.get(status or 0, "what is exported is kept: run the same command again")
        raise UserError(f"{place}: {remedy} ({said})") from None
    except Exception as error:  # no network: every HTTP client has a class of its own for that
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"{place}: the hub cannot be reached ({said}); what is exported is kept: run the same command again") from None  # fmt: skip
