"""Programs that reach for what is not theirs: files, secrets, the network, other processes, the kernel.

`@NAME@` stands for what `planted` made. Each is right otherwise, so that PASS means: it was denied, or nothing was there.
"""

from __future__ import annotations

from iterpref.schema import Verdict

from .build import IN_PROCESS, STDIO, SUITE, Program, in_f

PASS, FAIL, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR


def denied(body: str, kinds: tuple[str, ...] = (SUITE, STDIO)) -> Program:
    """A program that is right if `body` raises OSError; else it ends in a LookupError."""
    return Program(
        "def attempt():\n" + "".join(f"    {line}\n" for line in body.splitlines())
        + "def f(x):\n    try:\n        attempt()\n    except OSError:\n        return 2 * x\n"
        + "    raise LookupError('it was possible')\n",
        PASS, kinds=kinds,
    )  # fmt: skip


FILES = {
    "reads a secret": denied("open('@FOLDER@/secret').read()", (*IN_PROCESS, STDIO)),
    "appends to a file of others": denied("open('@FOLDER@/secret', 'a')"),
    "makes a file in a folder of others": denied("open('@FOLDER@/new', 'w')"),
    "removes a file of others": denied("import os; os.unlink('@FOLDER@/secret')"),
    "truncates a file of others": denied("import os; os.truncate('@FOLDER@/secret', 0)"),
    "changes the mode of a file of others": denied("import os; os.chmod('@FOLDER@/secret', 0o600)"),
    "follows its own link": denied("import os\nif not os.path.islink('l'): os.symlink('@FOLDER@/secret', 'l')\nopen('l')"),
    "links a file of others": denied("import os; os.link('@FOLDER@/secret', 'hard')"),
    "leaves by dots": denied("open('../' * 20 + '@FOLDER@/secret'.lstrip('/'))"),
    "reaches through the root of a process": denied("open('/proc/self/root@FOLDER@/secret')"),
    "writes to /usr": denied("open('/usr/x', 'w')", (*IN_PROCESS, STDIO)),
    "writes to the interpreter's own files": denied("import os; open(os.__file__, 'a')"),
    "reads the shadow": denied("open('/etc/shadow').read()"),
    "reads a device": denied("import glob\nopen((glob.glob('/dev/[svn][dvm]*') + ['/dev/mem'])[0], 'rb').read(1)"),
    "opens the terminal": denied("open('/dev/tty', 'w')"),
    "writes to the kernel": denied("open('/proc/sys/kernel/core_pattern', 'w')"),
    "the door of another program": denied("import socket\nsocket.socket(socket.AF_UNIX).connect('@FOLDER@/door')"),
    "the homes of others hold no file": Program(
        in_f("import glob, os\nfound = glob.glob('/root/.*') + glob.glob('/home/*/.*') + glob.glob('@FOLDER@/*')\n"
             "assert not [path for path in found if os.path.isfile(path)]"), PASS, kinds=(SUITE,),
    ),
    "removes its home": Program(
        in_f("import os, shutil\nshutil.rmtree(os.path.expanduser('~'), ignore_errors=True)"), PASS
    ),
    "removes what it can of a folder of others": Program(
        in_f("import shutil\nshutil.rmtree('@FOLDER@', ignore_errors=True)"), PASS, kinds=(SUITE,)
    ),
    "environments hold no secret": Program(
        in_f("import glob, os\nfor path in glob.glob('/proc/[0-9]*/environ') + ['/proc/1/environ', '/proc/@PID@/environ']:\n"
             "    try: data = open(path, 'rb').read()\n    except OSError: continue\n"
             "    assert b'PLANTED_TOKEN' not in data\nassert 'PLANTED_TOKEN' not in os.environ"), PASS,
    ),
    "others' command lines are not told": Program(
        in_f("import glob\nfor path in glob.glob('/proc/[0-9]*/cmdline'):\n"
             "    try: data = open(path, 'rb').read()\n    except OSError: continue\n"
             "    assert b'pytest' not in data and b'iterpref-run' not in data"), PASS, kinds=(SUITE,),
    ),
    "litter of all kinds": Program(
        """
        import os, socket
        for name in ("/etc", "/nowhere", "."):
            os.symlink(name, "to" + name.replace("/", "_"))
        os.mkfifo("fifo")
        open("a", "w").close()
        os.link("a", "b")
        here = os.getcwd()
        for _ in range(300):
            os.mkdir("d"); os.chdir("d")
        os.chdir(here)
        os.mkdir("closed"); open("closed/file", "w").close(); os.chmod("closed", 0)
        def f(x):
            return 2 * x
        """, PASS, kinds=(SUITE, STDIO),
    ),
    "renames its folder": Program(
        in_f("import os\nhere = os.getcwd()\ntry: os.rename(here, here + '-away')\nexcept OSError: pass"), PASS, kinds=(SUITE,)
    ),
}  # fmt: skip

NETWORK = {
    "connects to a server": denied("import socket\nsocket.create_connection(('127.0.0.1', @PORT@), 1)", (*IN_PROCESS, STDIO)),
    "serves": denied("import socket\nsocket.create_server(('127.0.0.1', 0))"),
    "sends a datagram": denied("import socket\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', @PORT@))"),
    "asks for a name": denied("import socket\nsocket.getaddrinfo('example.org', 80)"),
    "a raw packet": denied("import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
    "asks the kernel by netlink": denied("import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"),
    "an abstract socket of others": denied("import socket\nsocket.socket(socket.AF_UNIX).connect('\\0@ABSTRACT@')"),
    "a socket pair of its own": Program(
        in_f("import socket\na, b = socket.socketpair()\na.send(b'x')\nassert b.recv(1) == b'x'"), PASS
    ),
}  # fmt: skip

OTHERS = {
    "kills everybody": Program(
        in_f("import os\ntry: os.kill(-1, 9)\nexcept OSError: pass"), PASS, kinds=IN_PROCESS
    ),
    "kills its parent": Program(
        in_f("import os\ntry: os.kill(os.getppid(), 9)\nexcept OSError: pass"), PASS, kinds=(*IN_PROCESS, STDIO)
    ),
    "stops its parent": Program(
        in_f("import os\ntry: os.kill(os.getppid(), 19)\nexcept OSError: pass"), PASS, kinds=(SUITE,)
    ),
    "interrupts its parent": Program(
        in_f("import os, time\ntry: os.kill(os.getppid(), 2)\nexcept OSError: pass\ntime.sleep(0.02)"), PASS, kinds=(*IN_PROCESS, STDIO)
    ),
    "kills us": Program(in_f("import os\ntry: os.kill(@PID@, 9)\nexcept OSError: pass"), PASS, kinds=(SUITE,)),
    "takes its parent's limits": denied("import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))"),
    "slows its parent down": denied("import os\nos.setpriority(os.PRIO_PROCESS, os.getppid(), 19)"),
    "asks for a core of its own": denied(
        "import os, resource\nassert resource.getrlimit(resource.RLIMIT_RTPRIO) == resource.getrlimit(resource.RLIMIT_NICE) == (0, 0)\n"
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"
    ),
    "raises its own limits": Program(
        in_f("import resource\nfor kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_CPU):\n"
             "    try: resource.setrlimit(kind, (1 << 40, 1 << 40))\n    except (ValueError, OSError): continue\n"
             "    raise LookupError(kind)"), PASS, kinds=(SUITE,),
    ),
    "becomes root": denied("import os\nos.setuid(0)"),
    "reads its parent's memory": denied("import os\nopen(f'/proc/{os.getppid()}/mem', 'rb').read(1)"),
}  # fmt: skip

_CALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
arm = os.uname().machine == 'aarch64'
def check(result):
    if result < 0: raise OSError(ctypes.get_errno(), 'denied')
"""


def call(text: str) -> Program:
    """A system call that must be refused."""
    return denied(_CALL.strip() + "\n" + text, (SUITE,))


KERNEL = {
    "ptrace": call("check(libc.ptrace(16, os.getppid(), 0, 0))"),
    "traces its own child": call("pid = os.fork()\nif pid == 0: os.kill(os.getpid(), 19)\ncheck(libc.ptrace(16, pid, 0, 0))"),
    "io_uring": call("check(libc.syscall(425, 8, ctypes.create_string_buffer(120)))"),
    "a user namespace": call("check(libc.unshare(0x10000000))"),
    "a user namespace by clone": call(
        "pid = libc.syscall(220 if arm else 56, 0x10000000 | 17, 0, 0, 0, 0)\nif pid == 0: os._exit(0)\ncheck(pid)"
    ),
    "mounts": call("check(libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None))"),
    "bpf": call("check(libc.syscall(280 if arm else 321, 0, ctypes.create_string_buffer(120), 120))"),
    "a key": call("check(libc.syscall(217 if arm else 248, b'user', b'k', b'v', 1, -4))"),
    "System V memory": call("check(libc.shmget(0, 4096, 0o1600))"),
    "the kernel's log": call("check(libc.klogctl(3, ctypes.create_string_buffer(99), 99))"),
    "the clock": call("import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)"),
}  # fmt: skip
