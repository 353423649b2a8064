"""A repository on the Hugging Face hub: what stands in the way of writing there, told before any long work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iterpref.errors import UserError

_LOGIN = "log in with `hf auth login`, or set HF_TOKEN to a token with write access"
_AGAIN = "what is exported is kept: run the same command again"


class Repository:
    """`repo` (OWNER/NAME) of `kind` ("model", "dataset"), as the user who is logged in; `option` is where it was named. Raises
    `UserError` with what to change, wherever it can know."""

    def __init__(self, option: str, repo: str, kind: str, private: bool, api: Any = None) -> None:
        from huggingface_hub import HfApi

        self.repo, self._kind, self._private, self._api = repo, kind, private, api or HfApi()
        self.place = f"{option}={repo}"

    def check(self) -> None:
        """The name is one, and somebody is logged in who may write there."""
        from huggingface_hub.utils import HFValidationError, validate_repo_id

        owner, slash, name = self.repo.partition("/")
        try:
            validate_repo_id(self.repo)
        except HFValidationError as error:
            raise UserError(f"{self.place}: {error}; OWNER/NAME was expected") from None
        if not slash:
            raise UserError(f"{self.place}: OWNER/NAME was expected, such as YOU/{name or owner}")
        user = self._ask(self._api.whoami)
        mine = [user.get("name"), *(org.get("name") for org in user.get("orgs") or [])]
        if owner not in mine:
            raise UserError(
                f"{self.place}: the token is {user.get('name')}'s, who may write for {', '.join(map(str, mine))}; "
                f"name one of these as owner, or {_LOGIN}"
            )
        role = ((user.get("auth") or {}).get("accessToken") or {}).get("role")
        if role == "read":
            raise UserError(f"{self.place}: the token may only read; {_LOGIN}")

    def exists(self) -> bool:
        return bool(self._ask(lambda: self._api.repo_exists(self.repo, repo_type=self._kind)))

    def has(self, file: str) -> bool:
        return bool(self._ask(lambda: self._api.file_exists(self.repo, file, repo_type=self._kind)))

    def upload(self, folder: Path, message: str, delete: str | None = None) -> str:
        """The folder in one commit, which takes away what matches `delete` and is not in it; the repository's address."""
        options: dict[str, Any] = {"repo_type": self._kind, "private": self._private, "exist_ok": True}
        address = self._ask(lambda: self._api.create_repo(self.repo, **options))
        self._ask(lambda: self._api.upload_folder(
            repo_id=self.repo, repo_type=self._kind, folder_path=folder, delete_patterns=delete, commit_message=message,
        ))  # fmt: skip
        return str(address)

    def _ask(self, call: Callable[[], Any]) -> Any:
        with _told(self.place):
            return call()


@contextmanager
def _told(place: str) -> Iterator[None]:
    """What goes wrong on the way to the hub, as the user can mend it."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

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
        remedy = remedies.get(status or 0, _AGAIN)
        raise UserError(f"{place}: {remedy} ({said})") from None
    except Exception as error:  # no network: every HTTP client has a class of its own for that
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"{place}: the hub cannot be reached ({said}); {_AGAIN}") from None  # fmt: skip
