"""What each tier does not cover, in sentences: the one place that says it. `python -m iterpref.doctor` prints them."""

from __future__ import annotations

from iterpref.codeflow.sandbox.child import landlock

_EVERYWHERE = (
    "Suites and free-form asserts are judged in the program's own process: patched assertions, objects equal to everything "
    "and forged frames are found; code that reads the expected values out of a frame or of the suite, swaps unittest's "
    "objects in flight, jumps over lines of a test by a trace function, swallows a failure in a context manager of its own or "
    "calls our collector is not; nor is an array of a class of its own that answers numpy's questions itself, or a file of the "
    "solution with the name of a library module that the suite compares with. Function and stdin cases are judged outside.",
    "Memory and CPU time of all processes together are looked at every 50 ms, and what grows faster is only held by the "
    "limit of each process. Memory that several of them share counts once for each.",
    "Memory that the kernel takes on a program's behalf (pipes, sockets, page tables) is not counted.",
    "A program can slow its neighbours down: it shares their caches, memory bandwidth and disks.",
    "The clock, os.urandom and object addresses differ from run to run.",
)
_KERNEL = "A bug of the kernel, or of the processor, that the calls left open can reach."
_IN_MEMORY = "A run's files lie in memory, which its memory limit does not count: disk_mb comes on top."
_PACKAGES = (
    "Programs read the interpreter's own folder and all of /usr, and with preloaded modules this environment's "
    "site-packages: nothing secret may lie there. The interpreter's path is visible, and so is the user's name if it is in it."
)
_PROC = "/proc tells what is the machine's and not a process's: processors, memory, load, boot id, and the names of its mounts."
_NO_ACCOUNT = "No account: pwd and getpass do not find the user that a program runs as."
_NO_PYTHON = (
    "Started by root with an interpreter in root's home: a program cannot start Python by its path, as subprocess and the "
    "spawn method of multiprocessing do."
)

NOT_COVERED: dict[str, tuple[str, ...]] = {
    "namespaces": (
        _KERNEL,
        _PACKAGES,
        _PROC,
        _IN_MEMORY,
        *_EVERYWHERE,
    ),
    "landlock": (
        _KERNEL,
        _PACKAGES,
        "Which files exist, and their size, owner and times, can be asked anywhere (stat), and inotify tells of changes where "
        "the user may read; their contents, and all of /proc, cannot be read.",
        "Started by an ordinary user: mode, times and attributes of every file of that user can be changed (chmod, utime), so "
        "that private files may become readable to others.",
        "Disk space: each file is limited, but neither their sum nor their number.",
        "Processes of an ordinary user are counted with all others of that user: the limit is that much looser.",
        "uname tells the machine's name and its kernel.",
        "Correct programs that fail: what needs named semaphores or shared memory (the locks, queues and pools of "
        "multiprocessing), or reads /proc.",
        _NO_ACCOUNT,
        _NO_PYTHON,
        *_EVERYWHERE,
    ),
    "plain": (
        "The file system: a program reads and changes whatever its user may. Started by root, each run has a user of its own, "
        "and what it left in /tmp, /var/tmp and /dev/shm is removed; else later runs find it there.",
        "The network, and the sockets of other programs on this machine: all are open.",
        "Other processes, when not started by root: a program may signal and trace all of its user, read their environment, "
        "and kill the harness itself.",
        "System calls: io_uring, ptrace, user namespaces and the rest of the kernel can be reached.",
        "System V shared memory, semaphores and message queues, and memfd_create: they escape the limits, and the former stay "
        "when the program is gone.",
        "Disk space: each file is limited, but neither their sum nor their number.",
        "Processes of an ordinary user are counted with all others of that user: the limit is that much looser, and a program "
        "that forks faster than we look may outlive its run.",
        f"Started by root: {_NO_ACCOUNT[0].lower()}{_NO_ACCOUNT[1:]}",
        _NO_PYTHON,
        "macOS (written for it, not tried there): no memory limit and no process limit; root stays root.",
        *_EVERYWHERE,
    ),
    "bwrap": (
        _KERNEL,
        "bubblewrap itself, and where it is installed setuid its bugs as root.",
        _PACKAGES,
        _PROC,
        "Before Linux 6.12 a program can signal its first process only: Popen.kill and Pool.terminate fail in it.",
        _NO_ACCOUNT,
        "The number of files: a run's file system is limited in size only.",
        _IN_MEMORY,
        *_EVERYWHERE,
    ),
}

# What Landlock of an older kernel leaves open and neither our filter of system calls nor a limit closes again. The filter
# does close TCP, abstract sockets and, where runs have no user of their own, signals to others.
_OLD_LANDLOCK = (
    (2, "No file can be moved or linked from one folder to another (EXDEV): a correct program may fail."),
    (3, "truncate empties any file that the user may write to, wherever it lies."),
    (
        6,
        "Started by an ordinary user: a program can signal its first process only; Popen.kill and Pool.terminate fail in it.",
    ),
)


def not_covered(tier: str, landlock_abi: int | None = None) -> tuple[str, ...]:
    """The sentences for this machine: those of `NOT_COVERED`, and for `landlock` what its version (default: this
    kernel's) lacks. Raises KeyError for an unknown tier."""
    if tier != "landlock":
        return NOT_COVERED[tier]
    version = landlock.abi() if landlock_abi is None else landlock_abi
    missing = [f"Landlock version {version}: {text}" for until, text in _OLD_LANDLOCK if version < until]
    return (*missing, *NOT_COVERED[tier])
