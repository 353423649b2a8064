"""The filter of system calls, judged by the kernel: in a process of its own, as whoever we are and as an ordinary user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from iterpref.codeflow.sandbox.child import seccomp

HEAD = """
import asyncio, ctypes, errno, fcntl, json, multiprocessing, os, resource, signal, socket, subprocess, sys, tempfile, threading
from iterpref.codeflow.sandbox.child import seccomp, syscalls

ARCH, LIBC = os.uname().machine, ctypes.CDLL(None, use_errno=True)
NUMBERS = syscalls.numbers(ARCH)

def call(name, *arguments):
    result = LIBC.syscall(NUMBERS[name], *arguments)
    if result == 0 and name == "clone":
        os._exit(0)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result

def outcome(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "works"

def pool():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2])

def queue():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=queue.put, args=(5,))
    child.start()
    value = queue.get()
    child.join()
    return value

def thread():
    values = []
    thread = threading.Thread(target=values.append, args=(3,))
    thread.start()
    thread.join()
    return values

async def shell():
    child = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 4")
    return await child.wait()

def temporary():
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("x")
        os.chmod(file.name, 0o600)
    with tempfile.TemporaryDirectory() as folder:
        return os.listdir(folder)

def killed():
    child = subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE)
    child.kill()
    child.stdin.close()
    return child.wait()

PROGRAMS = {
    "pool": pool, "queue": queue, "thread": thread, "asyncio": lambda: asyncio.run(shell()), "temporary": temporary,
    "subprocess": lambda: subprocess.run(["/bin/sh", "-c", "exit 7"]).returncode, "nice": lambda: os.nice(0),
    "affinity": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
}

def step_down(nobody):
    for program in PROGRAMS.values():
        program()  # once before, so that all is imported: an ordinary user may not reach the interpreter's files
    asyncio.set_event_loop_policy(None)  # it has looked for pidfds already, which a filter may take away
    if nobody:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
"""
RAN = {
    "pool": [1, 2],
    "queue": 5,
    "thread": [3],
    "asyncio": 4,
    "temporary": [],
    "subprocess": 7,
    "nice": os.nice(0),  # whatever the tests themselves run with
    "affinity": None,
}


@pytest.fixture(params=["ourselves", "nobody"])
def run(request: pytest.FixtureRequest) -> Any:
    nobody = request.param == "nobody"
    if nobody and os.getuid() != 0:
        pytest.skip("only root can become another user")
    status = Path("/proc/self/status")
    if os.uname().machine not in seccomp.AUDIT_ARCH or not status.exists() or "Seccomp:" not in status.read_text():
        pytest.skip("no seccomp here")

    def run(body: str) -> Any:
        script = f"{HEAD}\nstep_down({nobody})\n{textwrap.dedent(body)}\nprint(json.dumps(result))"
        ended = subprocess.run(
            [sys.executable, "-c", script], cwd="/", env={**os.environ, "TMPDIR": "/tmp"}, timeout=120, capture_output=True, text=True
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return run


def test_the_kernel_refuses_what_the_filter_names(run: Any) -> None:
    result = run("""
        NEWUSER = 0x10000000
        seccomp.install(seccomp.program(ARCH))
        result = {
            "ptrace": outcome(call, "ptrace", 0, 0, 0, 0),
            "unshare": outcome(call, "unshare", NEWUSER),
            "clone": outcome(call, "clone", NEWUSER | signal.SIGCHLD, 0, 0, 0, 0),
            "clone3": outcome(call, "clone3", 0, 0),
            "shmget": outcome(call, "shmget", 0, 4096, 0o1600),
            "memfd": outcome(os.memfd_create, "x"),
            "io_uring": outcome(call, "io_uring_setup", 1, 0),
            "prlimit": outcome(resource.prlimit, os.getppid(), resource.RLIMIT_NOFILE),
            "priority": outcome(os.setpriority, os.PRIO_USER, 0, os.getpriority(os.PRIO_USER, 0)),
            "inet": outcome(socket.socket), "netlink": outcome(socket.socket, 16, socket.SOCK_RAW),
            "unix": outcome(socket.socket, socket.AF_UNIX), "pair": outcome(socket.socketpair),
            "limit": outcome(resource.setrlimit, resource.RLIMIT_CORE, (0, 0)),
        }
    """)
    assert result == {
        "ptrace": "EPERM", "unshare": "EPERM", "clone": "EPERM", "clone3": "ENOSYS", "shmget": "EPERM", "memfd": "ENOSYS",
        "io_uring": "ENOSYS", "prlimit": "EPERM", "priority": "EPERM", "inet": "EACCES", "netlink": "EACCES",
        "unix": "works", "pair": "works", "limit": "works",
    }  # fmt: skip


@pytest.mark.parametrize("options", ["", "unix_sockets=False"])
def test_ordinary_programs_run_under_the_filter(run: Any, options: str) -> None:
    result = run(f"""
        seccomp.install(seccomp.program(ARCH, {options}))
        result = {{name: program() for name, program in PROGRAMS.items()}} | {{"killed": killed()}}
    """)
    assert result == {**RAN, "killed": -9}


def test_without_unix_sockets_only_connected_pairs_are_left(run: Any) -> None:
    result = run("""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(tempfile.mkdtemp() + "/listener")
        listener.listen()
        seccomp.install(seccomp.program(ARCH, unix_sockets=False))
        a, b = socket.socketpair()
        a.send(b"x")
        kinds = socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM
        result = [outcome(socket.socketpair, socket.AF_UNIX, kind) for kind in kinds]
        result += [outcome(socket.socket, socket.AF_UNIX), b.recv(1).decode(), outcome(a.connect, listener.getsockname())]
        os.unlink(listener.getsockname())
        os.rmdir(os.path.dirname(listener.getsockname()))
    """)
    assert result == ["works", "works", "EACCES", "EACCES", "x", "EISCONN"]


def test_a_process_that_may_signal_itself_only(run: Any) -> None:
    result = run("""
        caught = []
        signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
        reader, writer = os.pipe()
        seccomp.install(seccomp.program(ARCH, own_pid=os.getpid()))
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
        child = subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE)
        result = {
            "caught": len(caught), "parent": outcome(os.kill, os.getppid(), 0), "group": outcome(os.kill, 0, 0),
            "child": outcome(os.kill, child.pid, 0), "owner": outcome(fcntl.fcntl, reader, fcntl.F_SETOWN, os.getppid()),
            "programs": {name: program() for name, program in PROGRAMS.items() if name != "pool"},
        }
        child.communicate(b"")
    """)
    programs = {name: value for name, value in RAN.items() if name != "pool"}  # a pool ends its workers by SIGTERM
    assert result == {
        "caught": 2, "parent": "EPERM", "group": "EPERM", "child": "EPERM", "owner": "EPERM", "programs": programs,
    }  # fmt: skip


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 is a table of x86_64")
def test_the_x32_table_is_the_end_of_a_process(run: Any) -> None:
    result = run("""
        seccomp.install(seccomp.program(ARCH))
        pid = os.fork()
        if pid == 0:
            LIBC.syscall(0x40000000 + 39)
            os._exit(0)
        result = os.WTERMSIG(os.waitpid(pid, 0)[1])
    """)
    assert result == 31  # SIGSYS


def test_a_filter_that_the_kernel_does_not_take_is_an_error(run: Any) -> None:
    result = run("""
        try:
            seccomp.install(b"")
        except OSError as error:
            result = [errno.errorcode[error.errno], str(error)]
    """)
    assert result == ["EINVAL", "[Errno 22] the kernel took no seccomp filter: Invalid argument"]
