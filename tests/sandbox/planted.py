"""What a program would find if the walls did not hold: a secret file, an environment, two listening sockets."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def planted() -> Iterator[dict[str, str]]:
    """Name -> text for the `@NAME@` of programs. Everybody may read the secret; it goes with the context."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="planted-", dir=_open_folder()))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        secret = folder / "secret"
        secret.write_text("a secret")
        secret.chmod(0o644)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        os.environ["PLANTED_TOKEN"] = token = secrets.token_hex(8)
        stack.callback(os.environ.pop, "PLANTED_TOKEN")
        name = f"planted-{secrets.token_hex(8)}"
        if sys.platform == "linux":
            abstract = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            abstract.bind(f"\0{name}")
            abstract.listen()
        door = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        door.bind(str(folder / "door"))
        (folder / "door").chmod(0o777)
        door.listen()
        yield {
            "FOLDER": str(folder),
            "PORT": str(listener.getsockname()[1]),
            "ABSTRACT": name,
            "TOKEN": token,
            "PID": str(os.getpid()),
        }
        assert secret.read_text() == "a secret", "a program reached a file that is not its own"


def _open_folder() -> str:
    """A temporary folder that every user may pass."""
    own = Path(tempfile.gettempdir()).resolve()
    return str(own) if all(path.stat().st_mode & 1 for path in (own, *own.parents)) else "/tmp"
