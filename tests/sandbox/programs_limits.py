"""Programs that want more than they may have: time, memory, output, disk, processes."""

from __future__ import annotations

from iterpref.schema import Verdict

from .build import ASSERTS, CALLS, GOOD, IN_PROCESS, SHORT, STDIO, SUITE, Program, in_f, on_import

PASS, FAIL, ERROR, OOM = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.OOM
TIMEOUT, OUTPUT_LIMIT, PROC_LIMIT = Verdict.TIMEOUT, Verdict.OUTPUT_LIMIT, Verdict.PROC_LIMIT

TIME = {
    "a busy loop": Program(in_f("while True: pass"), TIMEOUT, "cpu", limits=SHORT),
    "a busy loop in C": Program(in_f("10 ** 10 ** 8"), TIMEOUT, "cpu", limits=SHORT, kinds=(SUITE, STDIO)),
    "a regular expression that tracks back": Program(
        in_f("import re\nre.match('(a|aa)+$', 'a' * 60 + 'b')"), TIMEOUT, "cpu", limits=SHORT, kinds=(CALLS,)
    ),
    "ignores signals": Program(
        in_f("import signal\nfor s in (14, 15, 24): signal.signal(s, signal.SIG_IGN)\nwhile True: pass"),
        TIMEOUT, "cpu", limits=SHORT, kinds=(SUITE,),
    ),
    "blocks all signals": Program(
        in_f("import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass"),
        TIMEOUT, "cpu", limits=SHORT, kinds=(STDIO,),
    ),
    "catches everything": Program(
        in_f("while True:\n    try:\n        while True: pass\n    except BaseException: pass"),
        TIMEOUT, "cpu", limits=SHORT, kinds=(ASSERTS,),
    ),
    "sleeps": Program(in_f("import time; time.sleep(1000)"), TIMEOUT, "wall", limits=SHORT),
    "stops itself": Program(
        in_f("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"), TIMEOUT, "wall", limits=SHORT, kinds=(SUITE,)
    ),
    "opens a fifo": Program(
        in_f("import os\nos.mkfifo('fifo')\nopen('fifo')"), TIMEOUT, "wall", limits=SHORT, kinds=(SUITE, STDIO)
    ),
    "waits for its own lock": Program(
        in_f("import threading\nlock = threading.Lock()\nlock.acquire(); lock.acquire()"),
        TIMEOUT, "wall", limits=SHORT, kinds=(CALLS,),
    ),
    "becomes a busy shell": Program(
        in_f("import os\nos.execv('/bin/sh', ['sh', '-c', 'while :; do :; done'])"), TIMEOUT, "cpu", limits=SHORT, kinds=(SUITE,)
    ),
    "two busy children while it sleeps": Program(
        in_f("import os, time\nfor _ in range(2):\n    if os.fork() == 0:\n        while True: pass\ntime.sleep(1000)"),
        TIMEOUT, "cpu", limits=SHORT, kinds=(SUITE,),
    ),
    "a busy daemon while it sleeps": Program(
        in_f("import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        while True: pass\n"
             "    os._exit(0)\ntime.sleep(1000)"),
        TIMEOUT, "cpu", limits=SHORT, kinds=(CALLS,),
    ),
    "a busy thread while it sleeps": Program(
        in_f("import threading\ndef g():\n    while True: pass\nt = threading.Thread(target=g)\nt.start(); t.join()"),
        TIMEOUT, "cpu", limits=SHORT, kinds=(ASSERTS,),
    ),
    "a repr without an end": Program(
        "class E:\n    def __repr__(self):\n        while True: pass\ndef f(x):\n    return E()\n",
        TIMEOUT, "cpu", limits=SHORT, kinds=(SUITE, CALLS),
    ),
    "an exception's text without an end": Program(
        "class E(Exception):\n    def __str__(self):\n        while True: pass\n" + in_f("raise E"),
        TIMEOUT, "cpu", limits=SHORT, kinds=(CALLS,),
    ),
    "a destructor without an end": Program(
        "class E:\n    def __del__(self):\n        while True: pass\n" + in_f("E()"), TIMEOUT, "cpu", limits=SHORT, kinds=(SUITE,)
    ),
    "an equality without an end": Program(
        "class E:\n    def __eq__(self, o):\n        while True: pass\ndef f(x):\n    return E()\n",
        TIMEOUT, "cpu", limits=SHORT, kinds=(ASSERTS,), unlike={CALLS: (FAIL, "case 0"), STDIO: (FAIL, "case 0")},
    ),
    "a flush without an end": Program(
        in_f("import sys, time\nclass S:\n    def write(self, t): pass\n    def flush(self): time.sleep(1000)\nsys.stdout = S()"),
        TIMEOUT, "wall", limits=SHORT, kinds=(SUITE,),
    ),
    "an exit handler without an end": Program(
        on_import("import atexit, time\natexit.register(time.sleep, 1000)"),
        PASS, limits=SHORT, kinds=(SUITE, STDIO), unlike={STDIO: (TIMEOUT, "wall")},
    ),
}  # fmt: skip

MEMORY = {
    "four gigabytes at once": Program(in_f("bytearray(4 << 30)"), OOM, "memory"),
    "many small objects": Program(in_f("a = []\nwhile True: a.append(bytes(10**7))"), OOM, "memory"),
    "memory on import": Program("x = bytearray(4 << 30)\n", OOM, "memory"),
    "a string without an end": Program(in_f("s = 'x'\nwhile True: s += s"), OOM, "memory", kinds=(SUITE, CALLS)),
    "maps four gigabytes": Program(in_f("import mmap\nmmap.mmap(-1, 4 << 30)"), (OOM, ERROR), kinds=(SUITE, STDIO)),
    "catches that there is no memory": Program(
        in_f("try:\n    bytearray(4 << 30)\nexcept MemoryError:\n    pass"), PASS, kinds=(SUITE, CALLS)
    ),
    "memory of many processes": Program(
        in_f("import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        a = bytearray(b'x') * (150 << 20)\n"
             "        time.sleep(1000)\ntime.sleep(1000)"),
        OOM, "memory", kinds=(SUITE,),
    ),
}  # fmt: skip

OUTPUT = {
    "endless output": Program("while True: print('abc' * 100)\n", OUTPUT_LIMIT, "stdout"),
    "endless output past Python": Program(
        "import os\nwhile True: os.write(1, b'abc' * 9999)\n", OUTPUT_LIMIT, "stdout", kinds=(SUITE, STDIO)
    ),
    "endless output of a child": Program(
        in_f("import subprocess\nsubprocess.run(['yes'])"), OUTPUT_LIMIT, "stdout", kinds=(SUITE, STDIO)
    ),
    "too much on stderr": Program("import sys\nsys.stderr.write('x' * 300_000)\n" + GOOD, OUTPUT_LIMIT, "stderr"),
}  # fmt: skip

DISK = {
    "one large file": Program(in_f("open('big', 'wb').write(bytes(1 << 20) * 80)"), ERROR, "OSError"),
    "a large file with a hole": Program(in_f("open('big', 'wb').truncate(1 << 40)"), ERROR, "OSError", kinds=(SUITE,)),
    "many files together": Program(
        in_f("for i in range(40): open(f'big{i}', 'wb').write(bytes(1 << 20))"), ERROR, "OSError", kinds=(SUITE, STDIO)
    ),
    "more files than there is room for": Program(
        in_f("for i in range(25_000): open(f'small{i}', 'w').close()"), ERROR, "OSError", kinds=(SUITE,)
    ),
    "a thousand files": Program(
        in_f("for i in range(1000): open(f'small{i}', 'w').close()"), PASS, kinds=(SUITE,)
    ),
    "fills the shared memory": Program(
        in_f("for i in range(40): open(f'/dev/shm/big{i}', 'wb').write(bytes(1 << 20))"), ERROR, "OSError", kinds=(SUITE,)
    ),
    "fills a memory file": Program(
        in_f("import os\nfor _ in range(4): os.write(os.memfd_create('m'), bytes(20 << 20))"), ERROR, "OSError", kinds=(SUITE,)
    ),
}  # fmt: skip

PROCESSES = {
    "a fork bomb": Program(
        in_f("import os\nwhile True: os.fork()"), PROC_LIMIT, "processes", limits=SHORT, kinds=(SUITE, STDIO)
    ),
    "a fork bomb that does not give up": Program(
        in_f("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
        PROC_LIMIT, "processes", limits=SHORT, kinds=(SUITE, CALLS),
    ),
    "a bomb of threads": Program(
        in_f("import threading, time\nfor _ in range(100): threading.Thread(target=time.sleep, args=(9,)).start()"),
        PROC_LIMIT, "processes", kinds=IN_PROCESS,
    ),
    "a bomb of programs": Program(
        in_f("import os\nfor _ in range(100): os.posix_spawn('/bin/sleep', ['sleep', '9'], {})"),
        PROC_LIMIT, "processes", kinds=(SUITE, CALLS),
    ),
}  # fmt: skip
