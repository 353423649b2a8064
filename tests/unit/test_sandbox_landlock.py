"""Landlock: which rights each version takes, and what a restricted process then meets, version by version."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iterpref.codeflow.sandbox.child import landlock

NOBODY = 65534
HERE = landlock.abi()
VERSIONS = range(1, min(HERE, landlock.LATEST) + 1)


def test_each_version_takes_more_rights() -> None:
    # From the kernel's table of versions: 13 rights, then refer, truncate, TCP, ioctl_dev, scopes, logging.
    assert {abi: landlock.handled(abi) for abi in range(1, 8)} == {
        1: (0x1FFF, 0, 0), 2: (0x3FFF, 0, 0), 3: (0x7FFF, 0, 0), 4: (0x7FFF, 3, 0),
        5: (0xFFFF, 3, 0), 6: (0xFFFF, 3, 3), 7: (0xFFFF, 3, 3),
    }  # fmt: skip
    assert landlock.handled(99) == landlock.handled(7)  # a newer kernel knows rights that we do not ask for


def test_a_kernel_without_landlock_is_version_0_and_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "_syscall", lambda *arguments: -1)
    assert landlock.abi() == 0
    with pytest.raises(OSError, match="landlock_create_ruleset"):
        landlock.restrict([], [], [], 1)
    with pytest.raises(OSError, match="expected a version from 1, got 0"):
        landlock.restrict([], [], [], 0)
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert landlock.abi() == 0


# A process that restricts itself and tells what it then could do. `inside` and `outside` are folders of its user.
HEAD = """
import ctypes, errno, fcntl, json, os, shutil, signal, socket, subprocess, sys, tempfile, termios
from iterpref.codeflow.sandbox.child import landlock

INSIDE, OUTSIDE, ABI, NOBODY = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
SYSTEM = ["/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", sys.base_prefix, "/does/not/exist"]
DEVICES = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"]
LIBC = ctypes.CDLL(None, use_errno=True)

def outcome(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "works"

def read(path):
    with open(path, "rb") as file:
        file.read(1)

def write(path):
    with open(path, "w") as file:
        file.write("x")

def connect(address, family=socket.AF_UNIX):
    with socket.socket(family) as client:
        client.connect(address)

def bind():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))

def listener(address, family=socket.AF_UNIX):
    server = socket.socket(family)
    server.bind(address)
    server.listen()
    return server

def watch(path):
    if LIBC.inotify_add_watch(LIBC.inotify_init1(0), os.fsencode(path), 2) < 0:
        raise OSError(ctypes.get_errno(), "inotify_add_watch")

def ioctl(path):
    with open(path, "rb") as file:
        fcntl.ioctl(file, termios.TCGETS, bytes(64))

if NOBODY:
    subprocess.run(["/usr/bin/env"], stdout=subprocess.DEVNULL)  # imports what an ordinary user may not reach
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
os.chdir(INSIDE)
"""


@pytest.fixture(params=["ourselves", "nobody"])
def run(request: pytest.FixtureRequest) -> Iterator[Any]:
    nobody = request.param == "nobody"
    if nobody and os.getuid() != 0:
        pytest.skip("only root can become another user")
    if HERE < 1:
        pytest.skip("no Landlock here")
    # Not tmp_path: nobody may not go there.
    base = Path(tempfile.mkdtemp(dir="/tmp"))
    folders = [base / name for name in ("inside", "outside")]
    base.chmod(0o755)
    for folder in folders:
        folder.mkdir()
        if nobody:
            os.chown(folder, NOBODY, NOBODY)

    def run(body: str, abi: int = HERE) -> Any:
        script = f"{HEAD}\n{textwrap.dedent(body)}\nprint(json.dumps(result))"
        command = [sys.executable, "-c", script, *map(str, folders), str(abi), str(NOBODY if nobody else 0)]
        ended = subprocess.run(command, cwd="/", timeout=120, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    yield run
    shutil.rmtree(base)


@pytest.mark.parametrize("abi", VERSIONS)
def test_files_outside_are_out_of_reach_and_those_inside_are_not(run: Any, abi: int) -> None:
    result = run(
        """
        mine = f"{OUTSIDE}/mine"
        write(mine)
        landlock.restrict(SYSTEM, [INSIDE], DEVICES, ABI)
        write("a")
        os.makedirs("b/c")
        os.symlink("a", "link")
        os.mkfifo("fifo")
        os.rename("a", "d")
        result = {
            "passwd": outcome(read, "/etc/passwd"), "root": outcome(os.listdir, "/"), "proc": outcome(read, "/proc/self/environ"),
            "mine": [outcome(f, mine) for f in (read, write, os.unlink)], "list": outcome(os.listdir, OUTSIDE),
            "make": [outcome(f, f"{OUTSIDE}/new") for f in (write, os.mkdir, os.mkfifo)],
            "out": outcome(os.rename, "d", f"{OUTSIDE}/d"), "in": outcome(os.rename, mine, f"{INSIDE}/mine"),
            "system": [outcome(read, "/bin/sh"), outcome(os.listdir, "/usr"), outcome(write, "/usr/new")],
            "inside": sorted(os.listdir(INSIDE)), "truncate": outcome(os.truncate, "d", 0),
            "deeper": outcome(os.rename, "d", "b/c/d"), "devices": [outcome(read, "/dev/zero"), outcome(write, "/dev/null")],
            "other device": outcome(read, "/dev/kmsg"),
        }
        shutil.rmtree("b")
        """,
        abi,
    )
    refused = "EACCES"
    assert result.pop("out") in (refused, "EXDEV")
    assert result.pop("in") in (refused, "EXDEV")
    assert result.pop("other device") in (refused, "ENOENT")  # a container has no such device
    assert result == {
        "passwd": refused, "root": refused, "proc": refused, "mine": [refused] * 3, "list": refused, "make": [refused] * 3,
        "system": ["works", "works", refused], "inside": ["b", "d", "fifo", "link"], "truncate": "works",
        "deeper": "works" if abi >= 2 else "EXDEV", "devices": ["works", "works"],
    }  # fmt: skip


def test_programs_of_the_system_run_and_inherit_the_walls(run: Any) -> None:
    result = run("""
        landlock.restrict(SYSTEM, [INSIDE], DEVICES, ABI)
        with open("tool", "w") as file:
            file.write("#!/bin/sh\\necho from a script")
        os.chmod("tool", 0o755)
        result = [
            subprocess.run(["/usr/bin/env"], env={"A": "1"}, capture_output=True, text=True).stdout,
            subprocess.run(["/bin/sh", "-c", "read line < /etc/passwd"], stderr=subprocess.DEVNULL).returncode != 0,
            subprocess.run([f"{INSIDE}/tool"], capture_output=True, text=True).stdout,
            len(tempfile.NamedTemporaryFile(dir=INSIDE).name) > 0,
            subprocess.run(["/bin/sh", "-c", "exit 3"], stdin=subprocess.DEVNULL).returncode,
        ]
    """)
    assert result == ["A=1\n", True, "from a script\n", True, 3]


def test_a_file_in_the_lists_stands_for_itself_only(run: Any) -> None:
    result = run("""
        for name in ("read", "change", "other"):
            write(f"{OUTSIDE}/{name}")
        landlock.restrict([f"{OUTSIDE}/read"], [f"{OUTSIDE}/change"], [], ABI)
        result = [[outcome(f, f"{OUTSIDE}/{name}") for f in (read, write)] for name in ("read", "change", "other")]
    """)
    assert result == [["works", "EACCES"], ["works", "works"], ["EACCES", "EACCES"]]


@pytest.mark.parametrize("abi", VERSIONS)
def test_what_covers_tells_is_what_happens(run: Any, abi: int) -> None:
    result = run(
        """
        mine, name = f"{OUTSIDE}/mine", f"\\0landlock-{os.getpid()}"
        write(mine)
        os.symlink(mine, f"{OUTSIDE}/link")
        servers = [listener(f"{OUTSIDE}/socket"), listener(name), listener(("127.0.0.1", 0), socket.AF_INET)]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        reader, writer = os.pipe()
        if os.fork():
            os.close(writer)
            with open(reader) as pipe:
                result = json.load(pipe)
        else:
            landlock.restrict(SYSTEM, [INSIDE], DEVICES, ABI)
            parent = os.getppid()
            result = {
                "truncate": outcome(os.truncate, mine, 0), "ioctl": outcome(ioctl, "/dev/null"),
                "tcp": [outcome(connect, servers[2].getsockname(), socket.AF_INET), outcome(bind)],
                "abstract": outcome(connect, name), "path": outcome(connect, f"{OUTSIDE}/socket"),
                "chmod": outcome(os.chmod, mine, 0o600), "utime": outcome(os.utime, mine), "stat": outcome(os.stat, mine),
                "chdir": outcome(os.chdir, OUTSIDE), "readlink": outcome(os.readlink, f"{OUTSIDE}/link"),
                "inotify": outcome(watch, OUTSIDE), "udp": outcome(udp.sendto, b"x", udp.getsockname()),
                "affinity": outcome(os.sched_setaffinity, parent, os.sched_getaffinity(0)),
                "signal": outcome(os.kill, parent, 0), "own signal": outcome(os.kill, os.getpid(), 0),
            }
            os.write(writer, json.dumps(result).encode())
            os._exit(0)
        """,
        abi,
    )

    def until(version: int, fenced: str, open_: str = "works") -> str:
        return fenced if abi >= version else open_

    assert result == {
        "truncate": until(3, "EACCES"), "ioctl": until(5, "EACCES", "ENOTTY"), "tcp": [until(4, "EACCES")] * 2,
        "abstract": until(6, "EPERM"), "signal": until(6, "EPERM"), "own signal": "works", "path": "works", "chmod": "works",
        "utime": "works", "stat": "works", "chdir": "works", "readlink": "works", "inotify": "works", "udp": "works",
        "affinity": "works",
    }  # fmt: skip
