"""The folders and files that a program finds at its start, and how they go."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

from . import wire


def write_files(work: str, files: Sequence[tuple[str, str, bool, object]], uid: int | None) -> None:
    """Writes the solution's files below `work`, and gives them to `uid`; those of the tests (marked True) are never
    written."""
    for name, text, is_test, _ in files:
        if not is_test:
            path = f"{work}/{name}"
            if "/" in name:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            wire.write_all(descriptor, text.encode())
            os.close(descriptor)
    if uid is not None:
        for top, folders, names in os.walk(work):
            for name in (*folders, *names):
                os.chown(os.path.join(top, name), uid, uid)


def remove(path: str) -> None:
    """Removes a folder and all below it; follows no link. Raises OSError where something cannot be removed.

    Nothing is walked down: what lies in a folder's folders is moved up first, and gets its rights back. A program may
    nest folders so deeply that `rm -rf` takes minutes, and forbid everybody to enter them.
    """
    names = (f"{path}/moved-{os.getpid()}-{os.urandom(8).hex()}-{i}" for i in itertools.count())
    os.chmod(path, 0o700)
    todo = [path]
    while todo:
        folder = todo.pop()
        with os.scandir(folder) as entries:
            found = list(entries)
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)
                place = entry.path if folder == path else next(names)
                if folder != path:
                    os.rename(entry.path, place)
                todo.append(place)
            else:
                os.unlink(entry.path)
        if folder != path:
            os.rmdir(folder)
    os.rmdir(path)


def stdin(text: str | None) -> int:
    """A descriptor to read `text` from: a pipe where it fits into one, as programs expect; else a file."""
    if text is None:
        return os.open(os.devnull, os.O_RDONLY)
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= PIPE_BYTES:
        reading, writing = os.pipe()
        wire.write_all(writing, data)
        os.close(writing)
        return reading
    return wire.file_of(data)


PIPE_BYTES = 1 << 14  # what every system's pipe holds without a reader
