"""The filter of system calls, judged by a small BPF machine on both architectures."""

from __future__ import annotations

import re
import struct
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.codeflow.sandbox.child import seccomp, syscalls

ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = "allow", "kill"
EPERM, EACCES, ENOSYS = 1, 13, 38  # Linux's, wherever this runs
PID = 4321

# What each name must get, written down once more: a name that gets lost in `seccomp` is missed here.
REFUSED = {
    EPERM: """ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd unshare setns
        mount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen fsmount fsconfig fspick mount_setattr
        bpf perf_event_open userfaultfd add_key request_key keyctl kexec_load kexec_file_load create_module init_module
        finit_module delete_module query_module get_kernel_syms reboot swapon swapoff quotactl quotactl_fd acct
        settimeofday clock_settime clock_adjtime adjtimex fanotify_init fanotify_mark open_by_handle_at
        name_to_handle_at shmget shmat shmctl msgget msgsnd msgrcv msgctl semget semop semtimedop semctl mq_open
        mq_unlink iopl ioperm modify_ldt lookup_dcookie syslog sethostname setdomainname vhangup nfsservctl uselib mbind
        migrate_pages move_pages sync syncfs""",
    ENOSYS: """clone3 io_uring_setup io_uring_enter io_uring_register io_setup memfd_create memfd_secret statmount
        listmount listns""",
}
# What Python and its C library do all day: (x86_64, aarch64).
ORDINARY = {
    "read": (0, 63), "write": (1, 64), "openat": (257, 56), "mmap": (9, 222), "mprotect": (10, 226), "execve": (59, 221),
    "futex": (202, 98), "wait4": (61, 260), "exit_group": (231, 94), "rt_sigaction": (13, 134), "pipe2": (293, 59),
    "getpid": (39, 172), "getrandom": (318, 278), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "close_range": (436, 436), "openat2": (437, 437), "setsid": (112, 157), "prctl": (157, 167), "seccomp": (317, 277),
}  # fmt: skip


def verdict(program: bytes, arch: int, number: int, *arguments: int) -> str | int:
    """Runs a classic BPF program as the kernel does: `allow`, `kill`, or the errno."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    code = list(struct.iter_unpack("<HBBI", program))
    word = at = 0
    for _ in code:  # no instruction runs twice
        operation, yes, no, value = code[at]
        at += 1
        match operation:
            case 0x20:
                (word,) = struct.unpack_from("<I", data, value)
            case 0x05:
                at += value
            case 0x15:
                at += yes if word == value else no
            case 0x35:
                at += yes if word >= value else no
            case 0x54:
                word &= value
            case 0x06:
                assert value in (0x7FFF0000, 0x80000000) or value >> 16 == 5
                return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(value) or int(value & 0xFFFF)
            case _:
                raise AssertionError(f"unknown operation {operation:#x}")
    raise AssertionError("the program does not end")


program = cache(seccomp.program)


def judged(arch: str, name: str, *arguments: int, **options: Any) -> str | int:
    return verdict(program(arch, **options), ARCHES[arch], syscalls.numbers(arch)[name], *arguments)


HEADERS = {"x86_64": ("x86_64-linux-gnu/asm/unistd_64.h", "asm/unistd_64.h"), "aarch64": ("asm-generic/unistd.h",)}


@pytest.mark.parametrize("arch", ARCHES)
def test_the_numbers_are_those_of_the_kernels_headers(arch: str) -> None:
    found = [Path("/usr/include", name) for name in HEADERS[arch] if Path("/usr/include", name).exists()]
    if not found:
        pytest.skip("no kernel headers here")
    kernel = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", found[0].read_text()))
    ours = syscalls.numbers(arch)
    assert {name: int(kernel[name]) for name in ours if name in kernel} == {
        n: k for n, k in ours.items() if n in kernel
    }
    # An architecture lacks a call only if the kernel says so.
    assert not [name for name in syscalls.TABLE if name in kernel and name not in ours]
    assert len([name for name in ours if name in kernel]) > 90


def test_the_numbers_that_no_header_of_2023_knows() -> None:
    newer = {"statmount": 457, "listmount": 458, "open_tree_attr": 467, "listns": 470}
    for arch in ARCHES:
        assert {name: syscalls.numbers(arch)[name] for name in newer} == newer


@pytest.mark.parametrize("arch", ARCHES)
def test_what_no_program_of_ours_needs_is_refused(arch: str) -> None:
    known = syscalls.numbers(arch)
    got = {name: judged(arch, name) for names in REFUSED.values() for name in names.split() if name in known}
    assert got == {name: errno for errno, names in REFUSED.items() for name in names.split() if name in known}


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_calls_are_allowed(arch: str, name: str) -> None:
    number = ORDINARY[name][list(ARCHES).index(arch)]
    for options in ({}, {"own_pid": PID, "unix_sockets": False}):
        assert verdict(program(arch, **options), ARCHES[arch], number, *[2**64 - 1] * 6) == ALLOW


FORK, THREAD = 0x01200011, 0x003D0F00  # the flags that glibc gives to clone
JUDGED = [
    ("clone", (FORK,), {}, ALLOW),
    ("clone", (THREAD,), {}, ALLOW),
    *(("clone", (FORK | 1 << bit,), {}, EPERM) for bit in (17, 25, 26, 27, 28, 29, 30)),
    ("clone", (0x80 | 17,), {}, EPERM),
    ("personality", (0xFFFFFFFF,), {}, ALLOW),
    ("personality", (0,), {}, EPERM),
    ("personality", (0x0040000,), {}, EPERM),
    ("ioctl", (0, 0x5401), {}, ALLOW),
    ("ioctl", (0, 0x5412), {}, EPERM),
    ("ioctl", (0, 0x541C), {}, EPERM),
    ("prlimit64", (0, 7), {}, ALLOW),
    ("prlimit64", (PID, 7), {}, EPERM),
    *((f"sched_set{what}", (0, 1), {}, ALLOW) for what in ("affinity", "scheduler", "attr", "param")),
    *((f"sched_set{what}", (PID, 0), {}, EPERM) for what in ("affinity", "scheduler", "attr", "param")),
    ("setpriority", (0, 0, 5), {}, ALLOW),
    ("setpriority", (0, PID, 5), {}, EPERM),
    ("setpriority", (1, 0, 5), {}, EPERM),  # who = 0 is our own group or user here, and not only ourselves
    ("setpriority", (2, 0, 5), {}, EPERM),
    ("ioprio_set", (1, 0, 0), {}, ALLOW),
    ("ioprio_set", (1, PID, 0), {}, EPERM),
    ("ioprio_set", (3, 0, 0), {}, EPERM),
    ("socket", (1, 1), {}, ALLOW),
    *(("socket", (family, 2), {}, EACCES) for family in (0, 2, 10, 16, 17, 38, 40)),
    ("socket", (1, 1), {"unix_sockets": False}, EACCES),
    *(("socketpair", (1, kind), {}, ALLOW) for kind in (1, 2, 5)),
    ("socketpair", (30, 1), {}, EACCES),
    *(("socketpair", (1, kind | 0o2004000), {"unix_sockets": False}, ALLOW) for kind in (1, 5)),
    *(("socketpair", (1, kind | 0o2004000), {"unix_sockets": False}, EACCES) for kind in (2, 3)),
    *((name, (1, 9), {}, ALLOW) for name in ("kill", "tkill", "tgkill", "pidfd_open", "pidfd_send_signal")),
    ("fcntl", (3, 8, PID), {}, ALLOW),
    *((name, (PID, 9), {"own_pid": PID}, ALLOW) for name in ("kill", "tkill", "tgkill", "rt_sigqueueinfo")),
    ("rt_tgsigqueueinfo", (PID, 7), {"own_pid": PID}, ALLOW),
    *(("kill", (pid & 0xFFFFFFFF, 9), {"own_pid": PID}, EPERM) for pid in (0, 1, -1, -PID, PID + 1)),
    *((name, (1, PID), {"own_pid": PID}, EPERM) for name in ("tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")),
    *((name, (PID, 9), {"own_pid": PID}, ENOSYS) for name in ("pidfd_open", "pidfd_send_signal")),
    *(("fcntl", (3, command, PID), {"own_pid": PID}, EPERM) for command in (8, 15)),
    ("fcntl", (3, 1030, 0), {"own_pid": PID}, ALLOW),
    *(("ioctl", (3, command), {"own_pid": PID}, EPERM) for command in (0x5412, 0x541C, 0x8901, 0x8902)),
]  # fmt: skip


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(("name", "arguments", "options", "expected"), JUDGED)
def test_some_calls_are_judged_by_their_arguments(
    arch: str, name: str, arguments: tuple[int, ...], options: dict[str, Any], expected: str | int
) -> None:
    assert judged(arch, name, *arguments, **options) == expected
    # A program may fill the upper half of a register with anything, and the kernel does not look at it.
    high = [0xDEADBEEF << 32 | argument for argument in arguments]
    assert judged(arch, name, *high, **options) == expected


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("number", [0, 39, 101, 435, 10**6])
def test_a_call_by_another_architectures_table_kills(arch: str, number: int) -> None:
    for other in {*ARCHES.values(), 0x40000003, 0x40000028, 0} - {ARCHES[arch]}:
        assert verdict(program(arch), other, number) == KILL


def test_numbers_of_the_x32_table_kill_on_x86_64() -> None:
    for number in (0x40000000, 0x40000000 + 39, 0x40000000 + 520, 0xFFFFFFFF):
        assert verdict(program("x86_64"), ARCHES["x86_64"], number) == KILL
        assert verdict(program("aarch64"), ARCHES["aarch64"], number) == ENOSYS


@pytest.mark.parametrize("arch", ARCHES)
def test_calls_that_came_after_us_do_not_exist(arch: str) -> None:
    assert verdict(program(arch), ARCHES[arch], syscalls.LAST) == ALLOW
    for number in (syscalls.LAST + 1, 520, 1000, 0x3FFFFFFF):
        assert verdict(program(arch), ARCHES[arch], number) == ENOSYS


OPTIONS = st.fixed_dictionaries({
    "own_pid": st.none() | st.integers(1, 2**22),
    "unix_sockets": st.booleans(),
})  # fmt: skip


@settings(deadline=None)  # a busy machine is no failure
@given(st.sampled_from(sorted(ARCHES)), OPTIONS)
def test_every_jump_lands_inside_and_the_kernel_takes_the_length(arch: str, options: dict[str, Any]) -> None:
    code = list(struct.iter_unpack("<HBBI", program(arch, **options)))
    assert len(code) <= 4096
    for at, (operation, yes, no, value) in enumerate(code):
        ways = {0x05: (value,), 0x15: (yes, no), 0x35: (yes, no), 0x06: ()}.get(operation, (0,))
        assert all(at + 1 + way < len(code) for way in ways)
        assert operation != 0x20 or (value % 4 == 0 and value < 64)


@pytest.mark.parametrize("between", [0, 253, 254, 255, 256, 257, 1000])
def test_a_branch_reaches_any_place(between: int) -> None:
    for first, second in ((0x7FFF0000, 0x80000000), (0x80000000, 0x7FFF0000)):
        code = seccomp._Code()
        place = {value: code.put(0x06, value) for value in (first, second)}
        for _ in range(between):
            code.put(0x54, 0xFFFFFFFF)
        code.branch(0x15, 7, place[0x7FFF0000], place[0x80000000])
        code.put(0x20, 0)
        assert [verdict(code.assembled(), 0, number) for number in (7, 8)] == [ALLOW, KILL]


@settings(deadline=None)  # a busy machine is no failure
@given(st.sampled_from(sorted(ARCHES)), OPTIONS, st.integers(0, 600) | st.integers(0, 2**32 - 1), st.data())
def test_any_call_is_allowed_refused_or_deadly(
    arch: str, options: dict[str, Any], number: int, data: st.DataObject
) -> None:
    word = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2, 0xFFFFFFFF])
    arguments = data.draw(st.tuples(*[word] * 6))
    got = verdict(program(arch, **options), ARCHES[arch], number, *arguments)
    names = {value: name for name, value in syscalls.numbers(arch).items()}
    if number in names:
        assert got in (ALLOW, EPERM, EACCES, ENOSYS)
    elif number <= syscalls.LAST:
        assert got == ALLOW
    else:
        assert got == (KILL if arch == "x86_64" and number >= 0x40000000 else ENOSYS)


def test_what_is_unknown_is_said_to_be() -> None:
    with pytest.raises(ValueError, match="x86_64 and aarch64, not for 'riscv64'"):
        seccomp.program("riscv64")


def test_elsewhere_there_is_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "_prctl", None)
    with pytest.raises(OSError, match="expected Linux"):
        seccomp.install(b"")
