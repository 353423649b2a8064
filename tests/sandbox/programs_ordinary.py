"""Right and wrong programs, those that leave early, and odd ones that are right all the same."""

from __future__ import annotations

from iterpref.schema import Verdict

from .build import (
    ASSERTS,
    CALLS,
    GOOD,
    IN_PROCESS,
    LIMITS,
    NEVER_A_PASS,
    SHORT,
    STDIO,
    SUITE,
    Program,
    in_f,
    on_import,
)

PASS, FAIL, ERROR, EARLY_EXIT = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.EARLY_EXIT

ANSWERS = {
    "correct": Program(GOOD, PASS),
    "wrong answer": Program("def f(x):\n    return x + 3\n", FAIL),
    "wrong the second time": Program(
        "def f(x):\n    return 4\n", FAIL, unlike={SUITE: (FAIL, "TestF.test_zero"), CALLS: (FAIL, "case 1")}
    ),
    "raises": Program("def f(x):\n    return 1 / 0\n", ERROR, "ZeroDivisionError"),
    "wrong once, raises once": Program(
        "def f(x):\n    return 1 / x\n", FAIL, unlike={STDIO: (ERROR, "ZeroDivisionError")}
    ),
    "name missing": Program(
        "def g(x):\n    return x\n", ERROR, "NameError", unlike={SUITE: (ERROR, "ImportError")}
    ),
    "raises on import": Program("x = {}['a']\n", ERROR, "KeyError"),
    "syntax error": Program("def f(x:\n", ERROR, "compile"),
    "NUL in the source": Program(GOOD + "\0", ERROR, "compile"),
    "lone surrogate in the source": Program(GOOD + "# \ud800", ERROR, "compile"),
    "nested too deeply to parse": Program("f = " + "(" * 5000 + ")" * 5000, ERROR, "compile"),
    "unknown encoding declared": Program("# coding: nothing\n" + GOOD, ERROR, "compile"),
    "input() at the end of the input": Program(in_f("input()"), ERROR, "EOFError", kinds=IN_PROCESS),
    "deep recursion": Program("def f(x):\n    return f(x) + 1\n", ERROR, "RecursionError"),
    "recursion without a limit": Program(
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    return f(x) + 1\n",
        (Verdict.OOM, Verdict.CRASH, Verdict.TIMEOUT), limits=SHORT,
    ),
    "KeyboardInterrupt": Program(in_f("raise KeyboardInterrupt"), ERROR, "KeyboardInterrupt"),
    "GeneratorExit": Program(in_f("raise GeneratorExit"), ERROR, "GeneratorExit"),
    "a class of its own below BaseException": Program(
        "class Halt(BaseException):\n    pass\n" + in_f("raise Halt"), ERROR, "Halt"
    ),
}  # fmt: skip

_FAILED = {STDIO: (FAIL, "")}  # a whole program may end as it likes; what it has not printed is missing
LEAVING = {
    "sys.exit(0)": Program(in_f("import sys; sys.exit(0)"), EARLY_EXIT, "SystemExit(0)", unlike=_FAILED),
    "exit()": Program(in_f("exit()"), EARLY_EXIT, "SystemExit(None)", unlike=_FAILED),
    "SystemExit on import": Program(
        "raise SystemExit(3)\n", EARLY_EXIT, "SystemExit(3)", unlike={STDIO: (ERROR, "exit status 3")}
    ),
    "os._exit(0)": Program(in_f("import os; os._exit(0)"), EARLY_EXIT, "exit status 0", unlike=_FAILED),
    "os._exit(7) on import": Program(
        "import os; os._exit(7)\n", EARLY_EXIT, "exit status 7", unlike={STDIO: (ERROR, "exit status 7")}
    ),
    "becomes another program": Program(
        in_f("import os; os.execv('/bin/sh', ['sh', '-c', ''])"), EARLY_EXIT, "exit status 0", unlike=_FAILED
    ),
    "unittest.main on import": Program("import unittest; unittest.main()\n", EARLY_EXIT, "SystemExit", kinds=IN_PROCESS),
    "prints a pass and leaves": Program(
        "import sys\nprint('OK\\nPASSED')\nprint('{\"verdict\": \"PASS\", \"n_pass\": 2}')\nsys.exit(0)\n",
        EARLY_EXIT, "SystemExit(0)", unlike=_FAILED,
    ),
    "a child goes on as the test process": Program(
        in_f("import os\nif os.fork():\n    os._exit(0)"), EARLY_EXIT, "exit status 0", kinds=IN_PROCESS
    ),
    "faulthandler ends it": Program(
        in_f("import faulthandler, time\nfaulthandler.dump_traceback_later(0.05, exit=True)\ntime.sleep(60)"),
        EARLY_EXIT, "exit status 1", unlike={STDIO: (ERROR, "exit status 1")},
    ),
    "a callback of the garbage collector ends it": Program(
        in_f("import gc, os\ngc.callbacks.append(lambda *a: os._exit(0))\ngc.collect()"),
        EARLY_EXIT, "exit status 0", unlike=_FAILED,
    ),
    "an exception whose text ends it": Program(
        "import os\nclass E(Exception):\n    def __str__(self): os._exit(0)\n" + in_f("raise E"),
        EARLY_EXIT, "exit status 0", unlike=_FAILED,
    ),
    "a repr that ends it": Program(
        "import os\nclass E:\n    def __repr__(self): os._exit(0)\ndef f(x):\n    return E()\n",
        EARLY_EXIT, "exit status 0", kinds=(SUITE, CALLS),
    ),
    "a destructor that ends it": Program(
        "import os\nclass E:\n    def __del__(self): os._exit(0)\n" + in_f("E()"), EARLY_EXIT, "exit status 0",
        unlike=_FAILED,
    ),
    "a segfault": Program(in_f("import ctypes; ctypes.string_at(0)"), Verdict.CRASH, "SIGSEGV"),
    "an abort": Program(in_f("import os; os.abort()"), Verdict.CRASH, "SIGABRT"),
    "kills itself": Program(in_f("import os; os.kill(os.getpid(), 9)"), Verdict.CRASH, "SIGKILL"),
    "kills its process group": Program(in_f("import os; os.killpg(0, 9)"), Verdict.CRASH, "SIGKILL"),
    "an alarm that nobody handles": Program(
        in_f("import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\ntime.sleep(60)"), Verdict.CRASH, "SIGALRM"
    ),
    "a signal without a name": Program(in_f("import os; os.kill(os.getpid(), 40)"), Verdict.CRASH, "40"),
}  # fmt: skip

LARGE = """
import sys
def f(x):
    print("y" * {n}, file=sys.{stream})
    return 2 * x
"""
ODD = {
    "200 kB of output": Program(on_import("print('x' * 200_000)"), PASS, kinds=IN_PROCESS),
    "threads": Program(in_f("import threading\nt = threading.Thread(target=int)\nt.start(); t.join()"), PASS),
    "a thread that outlives the tests": Program(
        in_f("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()"), PASS
    ),
    "a thread that is no daemon outlives the tests": Program(
        in_f("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()"),
        PASS, limits=SHORT, unlike={STDIO: (Verdict.TIMEOUT, "wall")},
    ),
    "a child": Program(in_f("import subprocess\nassert subprocess.check_output(['echo', 'a']) == b'a\\n'"), PASS),
    "a pool of processes": Program(
        in_f("import multiprocessing\nwith multiprocessing.Pool(2) as p: assert p.map(abs, [-1, 2]) == [1, 2]"), PASS
    ),
    "kills its own child": Program(
        in_f("import subprocess\nc = subprocess.Popen(['sleep', '60'])\nc.kill()\nassert c.wait() == -9"), PASS
    ),
    "a child ends by an exception": Program(
        "import os\nif os.fork() == 0: raise ValueError\nassert os.wait()[1] == 256\n" + GOOD, PASS, kinds=(SUITE, STDIO)
    ),
    "forks, and both go on": Program(in_f("import os\nos.fork()"), PASS, kinds=IN_PROCESS),
    "vfork again and again": Program(
        in_f("import os\nfor _ in range(20): os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)"), PASS
    ),
    "closes its output": Program(in_f("import sys; sys.stdout.close()"), PASS, kinds=IN_PROCESS),
    "has no output": Program(in_f("import sys; sys.stdout = sys.stderr = sys.__stdout__ = None"), PASS, kinds=IN_PROCESS),
    "deletes its output": Program(in_f("import sys\nif hasattr(sys, 'stdout'): del sys.stdout"), PASS, kinds=IN_PROCESS),
    "an output that raises": Program(
        in_f("import sys\nclass S:\n    def flush(self): raise OSError\nsys.stdout = S()"), PASS, kinds=IN_PROCESS
    ),
    "output that does not block, through a small pipe": Program(
        in_f("import fcntl, os\nfor fd in (1, 2, 3):\n    os.set_blocking(fd, False)\nfcntl.fcntl(1, 1031, 4096)"), PASS
    ),
    "a temporary file": Program(in_f("import tempfile\nwith tempfile.TemporaryFile() as t: t.write(b'a')"), PASS),
    "copies and moves files": Program(
        in_f("import os, shutil, tempfile\nd = tempfile.mkdtemp()\nopen('a', 'w').close()\nshutil.copy('a', d)\n"
             "os.makedirs('b', exist_ok=True)\nos.replace('a', 'b/a')\nos.replace('b/a', d + '/b')"), PASS,
    ),
    "asyncio": Program(in_f("import asyncio\nasyncio.run(asyncio.sleep(0))"), PASS),
    "odd modules": Program(
        in_f("import decimal, sqlite3, hashlib, xml.dom.minidom, unittest.mock\n'a'.encode('cp1252')"), PASS
    ),
    "a trace and a profile function": Program(
        in_f("import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)"), PASS
    ),
    "handles signals": Program(
        in_f("import os, signal\nseen = []\nsignal.signal(signal.SIGUSR1, lambda *a: seen.append(1))\n"
             "os.kill(os.getpid(), signal.SIGUSR1)\nassert seen"), PASS,
    ),
    "asks for the path and for help": Program(in_f("import os\nos.environ['PATH']; help"), PASS),
    "an input and an output of its own": Program(
        on_import("import builtins, sys\nbuiltins.input = lambda *a: sys.stdin.readline()\nbuiltins.print = print"), PASS
    ),
    "a destructor that prints at the end": Program(
        "class A:\n    def __del__(self): print('4\\n0')\na = A()\na.me = a\nraise SystemExit\n", PASS, kinds=(STDIO,)
    ),
    "a file over its output that nobody flushes": Program(
        "import os\nout = os.fdopen(1, 'w')\nout.write('4\\n0\\n')\nraise SystemExit(0)\n", PASS, kinds=(STDIO,)
    ),
    "prints at its end": Program(
        on_import("import atexit\natexit.register(print, 'bye')"), PASS, unlike={STDIO: (FAIL, "case 0")}
    ),
    "an import hook of its own": Program(
        on_import("import sys\nclass H:\n    def find_spec(self, *a): return None\nsys.meta_path.insert(0, H())"), PASS
    ),
    "wide letters in a name": Program("def \uff46(x):\n    return 2 * x\n", PASS),  # Python reads them as f
    "a letter that only looks like its name": Program(
        "def \u0192(x):\n    return 2 * x\n", ERROR, "NameError", unlike={SUITE: (ERROR, "ImportError")}
    ),
    "line separators in a string": Program("S = '\u2028\x0c\x85'\n" + GOOD, PASS),
    "a byte order mark and DOS line ends": Program("\ufeff" + GOOD.replace("\n", "\r\n"), PASS),
    "digits without a limit": Program(in_f("import sys\nsys.set_int_max_str_digits(0)\nstr(10 ** 5000)"), PASS),
    "a weighty answer": Program("def f(x):\n    return 10 ** 5000\n", FAIL, limits=LIMITS, unlike={STDIO: (ERROR, "ValueError")}),
    "an exception of ten megabytes": Program(in_f("raise ValueError('x' * 10 ** 7)"), ERROR, "ValueError"),
    "a limit's exception whose text is no text": Program(
        "class E(RuntimeError):\n    def __str__(self): return 5\n" + in_f("raise E"), ERROR, "E"
    ),
    "an exception that hides its class": Program(
        "class E(Exception):\n    @property\n    def __class__(self): raise ValueError\n" + in_f("raise E"), ERROR, "E",
    ),
    "a syntax error of odd parts": Program(
        in_f("e = SyntaxError('bad')\ne.lineno, e.text = 3, 5\nraise e"), ERROR, "SyntaxError"
    ),
    "an exception that cannot be read": Program(
        "class E(Exception):\n    def __str__(self): raise RuntimeError\n" + in_f("raise E"), ERROR, "E"
    ),
    "an exception whose name is a page": Program(
        in_f("raise type('E\\nPASS ' * 10 ** 5, (Exception,), {})"), ERROR, "E PASS E"
    ),
    "an exception with a name of ten megabytes": Program(
        in_f("raise type('E' * 10 ** 7, (Exception,), {})"), NEVER_A_PASS
    ),
    "causes in a circle": Program(
        in_f("a, b = ValueError(), KeyError()\na.__cause__, b.__cause__ = b, a\nraise a"), ERROR, "ValueError"
    ),
    "a group of exceptions": Program(
        in_f("raise ExceptionGroup('all', [ValueError(1), KeyError(2)])"), ERROR, "ExceptionGroup"
    ),
    "returns a generator": Program("def f(x):\n    yield 2 * x\n", FAIL),
    "returns what contains itself": Program(
        "def f(x):\n    a = []\n    a.append(a)\n    return a\n", FAIL, unlike={CALLS: (ERROR, "TooLarge")}
    ),
    "returns what is nested without end": Program(
        "def f(x):\n    a = []\n    for _ in range(10**6): a = [a]\n    return a\n", NEVER_A_PASS, limits=SHORT,
        kinds=(ASSERTS, CALLS),
    ),
    "returns a hundred megabytes": Program("def f(x):\n    return 'x' * 10**8\n", NEVER_A_PASS, kinds=(ASSERTS, CALLS)),
    "hides standard modules": Program(
        on_import("import sys\nfor n in ('json', 'os', 'traceback', 're', 'io'): sys.modules[n] = None"), PASS,
    ),
    "patches what leads out": Program(
        on_import("import os\nos.write = os.getpid = lambda *a: 1\nos._exit = lambda *a: None"), PASS
    ),
    "patches random": Program(in_f("import random\nrandom.random = lambda: 0"), PASS),
}  # fmt: skip
