"""The filter of system calls around a test process: classic BPF, made once in the server, installed in each child.

Everything is allowed but what a program of ours never needs and what reaches beyond its own processes. Arguments are
judged by their low 32 bits: each one looked at here is an `int`, or flags of which the kernel reads no more. What a
pointer points to is out of a filter's sight. Source: seccomp(2), bpf(4), Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

from .linux import PR_SET_NO_NEW_PRIVS, failure
from .syscalls import LAST, numbers

# What Linux means by them; on macOS, where a filter can be made and looked at, `errno` has other values.
EPERM, EACCES, ENOSYS = 1, 13, 38
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000

# Offsets in struct seccomp_data; both architectures are little-endian, so the low half of an argument comes first.
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_LOAD, _JUMP, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x54, 0x06
_WHOLE = 0xFFFFFFFF

# Refused whatever the arguments: errno -> names.
REFUSED = {
    EPERM: """
        ptrace kcmp process_vm_readv process_vm_writev pidfd_getfd process_madvise process_mrelease
        unshare setns mount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick
        mount_setattr bpf perf_event_open userfaultfd lookup_dcookie syslog acct reboot swapon swapoff quotactl
        quotactl_fd kexec_load kexec_file_load create_module init_module finit_module delete_module get_kernel_syms
        query_module nfsservctl uselib vhangup sethostname setdomainname iopl ioperm modify_ldt sync syncfs
        settimeofday clock_settime clock_adjtime adjtimex add_key request_key keyctl
        fanotify_init fanotify_mark name_to_handle_at open_by_handle_at mbind migrate_pages move_pages
        shmget shmat shmctl msgget msgsnd msgrcv msgctl semget semop semtimedop semctl mq_open mq_unlink
    """,
    # As an older kernel answers: libraries then take the way they had before. clone3 hides its flags behind a pointer;
    # what io_uring does passes by no filter; the quota of io_setup is the whole machine's; no limit of a process counts
    # the memory behind a memfd; the others list mounts and namespaces of the machine.
    ENOSYS: """
        clone3 io_uring_setup io_uring_enter io_uring_register io_setup memfd_create memfd_secret
        statmount listmount listns
    """,
}

# NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. The first is no flag of clone, nor any signal.
_NAMESPACES = 0x00000080 | 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_TIOCSTI, _TIOCLINUX, _FIOSETOWN, _SIOCSPGRP = 0x5412, 0x541C, 0x8901, 0x8902
_F_SETOWN, _F_SETOWN_EX = 8, 15
_AF_UNIX = 1
_SOCK_TYPE, _SOCK_STREAM, _SOCK_SEQPACKET = 0xF, 1, 5
_PRIO_PROCESS, _IOPRIO_WHO_PROCESS = 0, 1

# An argument passes if ((argument & mask) in values) == wanted.
Test = tuple[int, int, tuple[int, ...], bool]  # (argument, mask, values, wanted)
Rule = tuple[int, list[Test]]  # errno, and the tests that all must pass for the call to be allowed


def program(arch: str, own_pid: int | None = None, unix_sockets: bool = True) -> bytes:
    """The assembled filter, `struct sock_filter[]`, for an `arch` as `os.uname().machine` calls it.

    `own_pid`: signals go to this process only, also by way of fcntl; for kernels where nothing else fences them. A
    child that it forks can then be signalled neither by it nor by itself: `Popen.kill` and `Pool.terminate` fail.
    `unix_sockets`: no other family is ever open; without them there is no AF_UNIX socket that could be given an address: only connected pairs, which
    is what asyncio and multiprocessing use. Pass False where sockets of other programs can be reached by their path.
    Raises ValueError for an unknown architecture.
    """
    known = numbers(arch)
    rules = {name: (errno, list[Test]()) for errno, names in REFUSED.items() for name in names.split()}
    rules |= _judged(unix_sockets)
    if own_pid is not None:
        rules |= _only_signals_to(own_pid)
    code = _Code()
    allowed, kill = code.put(_RETURN, ALLOW), code.put(_RETURN, KILL)
    refuse = {errno: code.put(_RETURN, ERRNO | errno) for errno in (EPERM, EACCES, ENOSYS)}
    targets = [
        (known[name], _place_tests(code, tests, allowed, refuse[errno]))
        for name, (errno, tests) in rules.items()
        if name in known
    ]
    pieces = [*_pieces(sorted(targets), allowed), (LAST + 1, refuse[ENOSYS])]
    if arch == "x86_64":
        pieces.append((X32_BIT, kill))
    _place_search(code, pieces)
    search = code.put(_LOAD, _NUMBER)
    code.branch(_EQUAL, AUDIT_ARCH[arch], search, kill)
    code.put(_LOAD, _ARCH)
    return code.assembled()


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))  # struct sock_fprog


_PR_SET_SECCOMP, _MODE_FILTER, _SET_MODE_FILTER = 22, 2, 1
_SECCOMP = {"x86_64": 317, "aarch64": 277}.get(os.uname().machine)
# Looked up here once: in a fresh child the search costs more than the filter. macOS has no prctl.
_libc = ctypes.CDLL(None, use_errno=True)
_prctl, _syscall = getattr(_libc, "prctl", None), _libc.syscall


def install(program: bytes) -> None:
    """Puts the filter on this thread and on all that it starts, for good; sets no_new_privs. Raises OSError."""
    if _prctl is None:
        raise OSError(f"seccomp: expected Linux, this is {sys.platform}")
    if _prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise failure("prctl(PR_SET_NO_NEW_PRIVS)")
    filter_ = _Filter(len(program) // 8, program)
    if _SECCOMP is not None and _syscall(_SECCOMP, _SET_MODE_FILTER, 0, ctypes.byref(filter_)) == 0:
        return
    # Before Linux 3.17, or where an outer filter hides the newer call.
    if _prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(filter_), 0, 0) != 0:
        raise failure("the kernel took no seccomp filter")


def _judged(unix_sockets: bool) -> dict[str, Rule]:
    pair = [_among(0, _AF_UNIX)]
    if not unix_sockets:
        # A datagram socket may leave its partner for any address; these two cannot.
        pair.append((1, _SOCK_TYPE, (_SOCK_STREAM, _SOCK_SEQPACKET), True))
    rules: dict[str, Rule] = {
        "clone": (EPERM, [(0, _NAMESPACES, (0,), True)]),
        "personality": (EPERM, [_among(0, _WHOLE)]),  # a question, no change
        "ioctl": (EPERM, [(1, _WHOLE, (_TIOCSTI, _TIOCLINUX), False)]),  # they type into the terminal
        "socket": (EACCES, [_among(0, *[_AF_UNIX] * unix_sockets)]),
        "socketpair": (EACCES, pair),
        # Of other processes, a user or a group: whoever watches us must not be throttled.
        "setpriority": (EPERM, [_among(0, _PRIO_PROCESS), _among(1, 0)]),
        "ioprio_set": (EPERM, [_among(0, _IOPRIO_WHO_PROCESS), _among(1, 0)]),
    }
    for name in ("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setattr", "sched_setparam"):
        rules[name] = (EPERM, [_among(0, 0)])
    return rules


def _only_signals_to(pid: int) -> dict[str, Rule]:
    signals = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
    rules: dict[str, Rule] = {name: (EPERM, [_among(0, pid & _WHOLE)]) for name in signals}
    # A pidfd tells no filter whose it is. Without any, asyncio waits for its children in a thread.
    rules |= {name: (ENOSYS, []) for name in ("pidfd_open", "pidfd_send_signal")}
    # The owner of a descriptor gets a signal of the caller's choice when there is something to read.
    rules["fcntl"] = (EPERM, [(1, _WHOLE, (_F_SETOWN, _F_SETOWN_EX), False)])
    rules["ioctl"] = (EPERM, [(1, _WHOLE, (_TIOCSTI, _TIOCLINUX, _FIOSETOWN, _SIOCSPGRP), False)])
    return rules


def _among(argument: int, *values: int) -> Test:
    return argument, _WHOLE, values, True


class _Code:
    """Instructions, placed from the last to the first: a jump of BPF leads forward only, so its target is there already.

    A place is counted from the end of the program.
    """

    def __init__(self) -> None:
        self._backward: list[bytes] = []

    def put(self, operation: int, value: int, yes: int = 0, no: int = 0) -> int:
        """One instruction in front of all others; returns its place. Unless it jumps, the one put before it comes next."""
        self._backward.append(struct.pack("<HBBI", operation, yes, no, value))
        return len(self._backward) - 1

    def branch(self, operation: int, value: int, yes: int, no: int) -> int:
        """Compares the loaded word with `value` and goes on at one of two places."""
        yes, no = self._near(yes), self._near(no)
        return self.put(operation, value, self._distance(yes), self._distance(no))

    def assembled(self) -> bytes:
        return b"".join(reversed(self._backward))

    def _distance(self, place: int) -> int:
        return len(self._backward) - place - 1

    def _near(self, place: int) -> int:
        """A place that a branch can reach, which has 8 bits for the way; one stays free for the other side's jump."""
        distance = self._distance(place)
        return place if distance < 255 else self.put(_JUMP, distance)


def _place_tests(code: _Code, tests: list[Test], allow: int, refuse: int) -> int:
    if not tests:
        return refuse
    place = allow
    for argument, mask, values, wanted in reversed(tests):
        hit, miss = (place, refuse) if wanted else (refuse, place)
        place = miss
        if not values:
            continue
        for value in reversed(values):
            place = code.branch(_EQUAL, value, hit, place)
        if mask != _WHOLE:
            code.put(_AND, mask)
        place = code.put(_LOAD, _ARGUMENTS + 8 * argument)
    return place


def _pieces(targets: list[tuple[int, int]], allow: int) -> list[tuple[int, int]]:
    """(first number, place) of each run of numbers that are treated alike; the calls without a rule are allowed."""
    pieces = [(0, allow)]
    for number, place in targets:
        if pieces[-1][0] == number:
            pieces.pop()  # the call before had a rule of its own, so nothing lies between
        if not pieces or pieces[-1][1] != place:
            pieces.append((number, place))
        pieces.append((number + 1, allow))
    return pieces


def _place_search(code: _Code, pieces: list[tuple[int, int]]) -> int:
    """A binary search: the kernel walks the filter for every number when it is installed, to remember what is allowed."""
    if len(pieces) == 1:
        return pieces[0][1]
    middle = len(pieces) // 2
    above, below = _place_search(code, pieces[middle:]), _place_search(code, pieces[:middle])
    return code.branch(_AT_LEAST, pieces[middle][0], above, below)
