"""Steps down from root and starts another program, which finds the given paths even below a folder of root's alone.

Run as a script: `stage.py UID N PATH{N} PROGRAM ARGUMENT...`. An interpreter in root's home, say, is out of every other
user's sight; in a mount namespace of our own, a bare copy of its folders stands in for the real ones.
"""

from __future__ import annotations

import os
import sys


def main(uid: int, paths: list[str], command: list[str]) -> None:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import linux  # type: ignore[import-not-found]

    hidden = {path: _first_closed(path) for path in paths}
    if any(hidden.values()):
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
        # Held open before they are covered.
        sources = {path: os.open(path, os.O_PATH) for path, folder in hidden.items() if folder}
        for folder in {folder for folder in hidden.values() if folder}:
            linux.mount("tmpfs", folder, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=755")
        for path, descriptor in sources.items():
            os.makedirs(path, mode=0o755, exist_ok=True)
            linux.mount(f"/proc/self/fd/{descriptor}", path, None, linux.MS_BIND | linux.MS_REC)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.execv(command[0], command)


def _first_closed(path: str) -> str:
    """The uppermost folder on the way to `path` that not everybody may pass, or ""."""
    parts = path.split("/")
    for i in range(2, len(parts) + 1):
        folder = "/".join(parts[:i])
        if os.path.isdir(folder) and not os.stat(folder).st_mode & 0o001:
            return folder
    return ""


if __name__ == "__main__":
    n_paths = int(sys.argv[2])
    os.umask(0o022)
    main(int(sys.argv[1]), sys.argv[3 : 3 + n_paths], sys.argv[3 + n_paths :])
