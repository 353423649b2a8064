"""Programs whose answer is wrong and who want it called right."""

from __future__ import annotations

import sys

from iterpref.schema import Verdict

from .build import ASSERTS, CALLS, GOOD, IN_PROCESS, JUDGED_INSIDE, STDIO, SUITE, Program, in_f

FAIL, ERROR, TAMPER, PASS = Verdict.FAIL, Verdict.ERROR, Verdict.TAMPER, Verdict.PASS
EQUAL = "class E:\n    def __eq__(self, other): return True\n    __hash__ = None\n"
WRONG = "def f(x):\n    return 7\n"
# To be put into a function: finds unittest's result object in the frames above.
TO_RESULT = """
    import sys
    frame = sys._getframe(1)
    while frame and "result" not in frame.f_locals:
        frame = frame.f_back
    if frame is None: return 7
    result = frame.f_locals["result"]
"""
# Likewise: finds what sends a value, and says something in our name.
_EMIT = """def f(x):
    import sys
    frame = sys._getframe(1)
    while frame and "emit" not in frame.f_locals:
        frame = frame.f_back
    told = frame.f_locals["emit"]
"""
_REPORT = (TAMPER, "report", (CALLS,))

_LONG = "import random\nfrom fractions import Fraction\ndef f(x):\n    q = Fraction(1, 2)\n    q._{part} = random.getrandbits(7_000_000)\n"
OBJECTS = {
    "a fraction of a million digits": Program(
        _LONG.format(part="numerator") + "    q._denominator = q._numerator // 3 + 1\n    return q\n", FAIL, kinds=(CALLS,)
    ),
    "equals everything": Program(EQUAL + "def f(x):\n    return E()\n", FAIL),
    "returns mock.ANY": Program("from unittest.mock import ANY\ndef f(x):\n    return ANY\n", FAIL),
    "an int that equals everything": Program(
        "class I(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef f(x): return I(7)\n", FAIL
    ),
    "a proxy of what equals everything": Program(
        "import weakref\n" + EQUAL + "e = E()\ndef f(x): return weakref.proxy(e)\n", FAIL
    ),
    "lies about its class": Program(
        "class E(int):\n    __class__ = int\n    def __eq__(self, o): return True\n    def __repr__(self): return '4'\n"
        "    __str__ = __repr__\ndef f(x): return E(7)\n", FAIL, kinds=IN_PROCESS,
    ),
    "a metaclass that equals everything": Program(
        "class M(type):\n    def __eq__(self, o): return True\n    __hash__ = None\nclass C(metaclass=M): pass\n"
        "def f(x): return C\n", (FAIL, ERROR),
    ),
}  # fmt: skip

# Equal to what is expected, and to all that lies around it.
NEAR = {
    "equals small integers": Program(
        "class E:\n    def __eq__(self, o): return type(o) is int and abs(o) < 1000\n    __hash__ = None\ndef f(x): return E()\n",
        FAIL,
    ),
    "equals whatever unittest compares it with": Program(
        "import sys\nclass E:\n    def __eq__(self, o): return 'unittest' in sys._getframe(1).f_code.co_filename\n"
        "    __hash__ = None\ndef f(x): return E()\n", FAIL, kinds=(SUITE,),
    ),
    "equals everything from the ninth time on": Program(
        "class E:\n    n = 0\n    def __eq__(self, o):\n        self.n += 1\n        return self.n > 8\n    __hash__ = None\n"
        "def f(x): return E()\n", FAIL,
    ),
}  # fmt: skip

JUDGES = {
    "empties the tests when their class is made": Program(
        "import builtins\nold = builtins.__build_class__\ndef build(body, name, *bases, **more):\n"
        "    made = old(body, name, *bases, **more)\n    if name == 'TestF':\n        builtins.__build_class__ = old\n"
        "        for n in ('test_doubles', 'test_zero'): setattr(made, n, lambda self: None)\n    return made\n"
        "builtins.__build_class__ = build\n" + WRONG, TAMPER, "TestF.test_doubles", kinds=(SUITE,),
    ),
    "answers for TestCase": Program(
        "import unittest\ndef get(self, n):\n    lax = n.startswith('assert') and type(self).__name__ != 'Canary'\n"
        "    return (lambda *a, **k: None) if lax else object.__getattribute__(self, n)\n"
        "unittest.TestCase.__getattribute__ = get\n" + WRONG, TAMPER, "TestCase.__getattribute__", kinds=JUDGED_INSIDE,
        unlike={ASSERTS: ((FAIL, TAMPER), "")},
    ),
    "answers for the test's class": Program(
        "import sys\ndef get(self, n):\n    return print if n.startswith('assert') else object.__getattribute__(self, n)\n"
        "def f(x):\n    type(sys._getframe(1).f_locals['self']).__getattribute__ = get\n    return 4\n",
        TAMPER, "TestF.__getattribute__", kinds=(SUITE,),
    ),
    "another class for the running test": Program(
        "import sys\ndef f(x):\n    test = sys._getframe(1).f_locals['self']\n"
        "    test.__class__ = type('TestF', (type(test),), {'assertEqual': print})\n    return 7\n",
        TAMPER, "self.__class__", kinds=(SUITE,),
    ),
    "another parent for the test's class": Program(
        "import sys, unittest\nclass Lax(unittest.TestCase):\n    def assertEqual(self, *a): pass\n"
        "def f(x):\n    type(sys._getframe(1).f_locals['self']).__bases__ = (Lax,)\n    return 4\n",
        TAMPER, "TestF.__bases__", kinds=(SUITE,),
    ),
    "empties the tests to come": Program(
        "import gc, unittest\ndef f(x):\n    for o in gc.get_objects():\n"
        "        if isinstance(o, unittest.TestCase) and type(o).__name__ == 'TestF':\n"
        "            setattr(o, o._testMethodName, lambda: None)\n    return 4\n", TAMPER, "self.test_", kinds=(SUITE,),
    ),
    "what an assertion remembers": Program(
        "import unittest\ncell, = [c for c in unittest.TestCase.assertEqual.__closure__ if callable(c.cell_contents)\n"
        "    and getattr(c.cell_contents, '__name__', '') == 'assertEqual']\nold = cell.cell_contents\n"
        "cell.cell_contents = lambda self, *a: type(self).__name__ == 'TestF' or old(self, *a)\n" + WRONG,
        FAIL, "patched TestCase.assertEqual", kinds=(SUITE,),
    ),
    "filters what the result tells": Program(
        "def f(x):\n    import sys\n    frame = sys._getframe(1)\n    while 'result' not in frame.f_locals: frame = frame.f_back\n"
        "    result = frame.f_locals['result']\n    old = result._emit\n"
        "    if old.__module__ != __name__:\n        def told(kind, *a): old('pass' if kind == 'fail' else kind, *a[:1 + (kind != 'fail')])\n"
        "        result._emit = told\n    return 7\n", TAMPER, kinds=JUDGED_INSIDE,
    ),
    "patches what assertCountEqual counts with": Program(
        "import collections\ncollections.Counter.__eq__ = lambda a, b: True\n" + WRONG, (FAIL, TAMPER), kinds=(SUITE,),
        unlike={SUITE: (TAMPER, "Counter.__eq__")},
    ),
    "patches assertEqual": Program(
        "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\n" + WRONG,
        FAIL, "patched TestCase.assertEqual", kinds=(SUITE,),
    ),
    "patches assertEqual's code": Program(
        "import unittest\nunittest.TestCase.assertEqual.__code__ = (lambda *a: None).__code__\n" + WRONG,
        ERROR, "ValueError", kinds=(SUITE,),  # the code of a closure does not fit
    ),
    "patches the code below assertEqual": Program(
        "import unittest\nbelow = unittest.TestCase.assertEqual.__wrapped__\n"
        "below.__code__ = (lambda s, a, b, msg=None: None).__code__\n" + WRONG,
        FAIL, "patched TestCase.assertEqual", kinds=(SUITE,),
    ),
    "patches the assertion of one test": Program(
        "import sys\ndef f(x):\n    sys._getframe(1).f_locals['self'].assertEqual = lambda *a: None\n    return 7\n",
        FAIL, "patched self.assertEqual", kinds=(SUITE,),
    ),
    "patches the assertion of the test's class": Program(
        "import sys\ndef f(x):\n    type(sys._getframe(1).f_locals['self']).assertEqual = print\n    return 7\n",
        FAIL, "patched TestF.assertEqual", kinds=(SUITE,),
    ),
    "replaces failureException": Program(
        "import unittest\nunittest.TestCase.failureException = KeyError\n" + WRONG, FAIL, "failureException", kinds=(SUITE,)
    ),
    "patches abs": Program("import builtins\nbuiltins.abs = lambda x: 0\n" + WRONG, FAIL, "", unlike={
        SUITE: (FAIL, "patched builtins.abs"), ASSERTS: (FAIL, "patched builtins.abs")}),
    "patches abs and is right": Program(
        "import builtins\nbuiltins.abs = lambda x: 0\n" + GOOD, FAIL, "patched builtins.abs", kinds=JUDGED_INSIDE,
    ),
    "patches math.isclose": Program(
        "import math\nmath.isclose = lambda *a, **k: True\n" + GOOD, FAIL, "patched math.isclose", kinds=JUDGED_INSIDE
    ),
    "patches operator.eq": Program(
        "import operator\noperator.eq = lambda a, b: True\n" + GOOD, FAIL, "patched operator.eq", kinds=JUDGED_INSIDE
    ),
    "removes a builtin": Program("import builtins\ndel builtins.bin\n" + GOOD, FAIL, "patched builtins.bin", kinds=JUDGED_INSIDE),
    "removes a builtin that we need": Program("import builtins\ndel builtins.sorted\n" + GOOD, (FAIL, ERROR), kinds=(SUITE,)),
    "patches and puts back": Program(
        "import unittest\nold = unittest.TestCase.assertEqual\n"
        "def f(x):\n    unittest.TestCase.assertEqual = lambda *a: None\n    return 7\n"
        "def back(self): unittest.TestCase.assertEqual = old\nunittest.TestCase.tearDown = back\n",
        (FAIL, TAMPER), kinds=(SUITE,), unlike={SUITE: (TAMPER, "tearDown")},
    ),
    "patches TestCase.run": Program(
        "import unittest\ndef run(self, result):\n    result.startTest(self)\n"
        "    result.addSuccess(self)\n    result.stopTest(self)\n"
        "unittest.TestCase.run = run\n" + WRONG, TAMPER, "TestCase.run", kinds=JUDGED_INSIDE,
    ),
    "replaces a test method": Program(
        "import sys\ndef f(x):\n    type(sys._getframe(1).f_locals['self']).test_zero = lambda self: None\n"
        "    return 2 * x + x // 4\n", TAMPER, "TestF.test_zero", kinds=(SUITE,),
    ),
    "lends TestCase its own": Program(
        "import unittest\nclass Lax(unittest.TestCase):\n    def assertEqual(self, *a): pass\nunittest.TestCase = Lax\n"
        + WRONG, TAMPER, "unittest.TestCase", kinds=(SUITE,),
    ),
    "registers an equality": Program(
        "import sys\ndef f(x):\n    s = sys._getframe(1).f_locals['self']\n"
        "    s.addTypeEqualityFunc(int, lambda a, b, msg=None: None)\n    return 7\n",
        TAMPER, "self.addTypeEqualityFunc", kinds=(SUITE,),
    ),
    "patches the loader": Program(
        "import unittest\nunittest.TestLoader.loadTestsFromTestCase = lambda *a: unittest.TestSuite()\n" + WRONG,
        (FAIL, TAMPER), kinds=(SUITE,),
    ),
    "patches TestSuite.run": Program(
        "import unittest\nunittest.TestSuite.run = lambda self, result, debug=False: result\n" + WRONG,
        (FAIL, TAMPER), "TestSuite.run", kinds=JUDGED_INSIDE,
    ),
    "patches TestResult": Program(
        "import unittest\nunittest.TestResult.addFailure = lambda self, test, err: self.addSuccess(test)\n" + WRONG,
        TAMPER, "TestResult.addFailure", kinds=JUDGED_INSIDE,
    ),
    "patches TestResult and is right": Program(
        "import unittest\nunittest.TestResult.addFailure = print\n" + GOOD,
        TAMPER, "TestResult.addFailure", kinds=JUDGED_INSIDE,
    ),
    "another unittest for the tests": Program(
        "import sys, types\nfake = types.ModuleType('unittest')\nfake.TestCase = type('TestCase', (), {})\n"
        "sys.modules['unittest'] = fake\n" + WRONG, (FAIL, TAMPER, ERROR), kinds=(SUITE,),
    ),
    "its own abs in the namespace of the checks": Program(
        "def abs(x):\n    return 4\n" + WRONG, FAIL, "asserts", kinds=(ASSERTS,)
    ),
    "empties the wrapper of the asserts when it is made": Program(
        "import builtins\nold = builtins.__build_class__\ndef build(body, name, *bases, **more):\n"
        "    made = old(body, name, *bases, **more)\n    builtins.__build_class__ = old\n"
        "    for n in [n for n in vars(made) if n == 'runTest' or n.startswith('test')]: setattr(made, n, print)\n"
        "    return made\nbuiltins.__build_class__ = build\n" + WRONG, (FAIL, TAMPER), "", kinds=JUDGED_INSIDE,
    ),
    "other builtins for the tests' module": Program(
        "import sys, builtins\nframe = sys._getframe(1)\nwhile frame:\n    if frame.f_globals.get('__name__') == 'test_solution':\n"
        "        frame.f_globals['__builtins__'] = dict(vars(builtins), abs=lambda x: 0)\n    frame = frame.f_back\n" + GOOD,
        TAMPER, "test_solution.__builtins__", kinds=(SUITE,),
    ),
    "a builtin's name in the tests' module": Program(
        "import sys\nsys.modules['test_solution'].len = lambda x: 4\n" + GOOD, TAMPER, "test_solution.len", kinds=(SUITE,)
    ),
    "a name of the tests' module": Program(
        "import sys\ndef f(x):\n    sys._getframe(1).f_globals['f'] = abs\n    return 2 * x\n",
        TAMPER, "test_solution.f", kinds=(SUITE,),
    ),
}  # fmt: skip

RESULTS = {
    "patches the result's class badly": Program(
        "def f(x):" + TO_RESULT + "    type(result).addFailure = type(result).addSuccess\n    return 7\n",
        ERROR, "TypeError", kinds=JUDGED_INSIDE,  # addSuccess takes no exception, so that even this is seen
    ),
    "patches the result's class well": Program(
        "def f(x):" + TO_RESULT + "    type(result).addFailure = lambda s, test, err: s.addSuccess(test)\n    return 7\n",
        TAMPER, "Collector.addFailure", kinds=JUDGED_INSIDE,
    ),
    "calls addSuccess": Program(
        "def f(x):" + TO_RESULT + "    result.addSuccess(frame.f_locals.get('self'))\n    return 2 * x\n",
        TAMPER, "passed twice", kinds=JUDGED_INSIDE,
    ),
    "a value that nobody can read": Program(_EMIT + "    told('value', '0', '[' * 10**6)\n    return 2 * x\n", *_REPORT),
    "a value of keys that all hash alike": Program(
        _EMIT + "    import json\n    keys = [['int', hex(i * (2**61 - 1))] for i in range(1, 50_000)]\n"
        "    told('value', '0', json.dumps(['set', keys]))\n    return 2 * x\n", *_REPORT,
    ),
    "passes its own calls": Program(
        _EMIT + "    told('pass', 'case 0'); told('stop', 'case 0', '1')\n    told('start', 'case 1'); told('pass', 'case 1')\n"
        "    told('stop', 'case 1', '1'); told('canaries'); told('done')\n    import os; os._exit(0)\n", *_REPORT,
    ),
    "counts lines beyond all numbers": Program(
        _EMIT + "    told('stop', 'case 0', '1'); told('canaries'); told('done', '1' + '0' * 400, '1')\n    return 7\n", *_REPORT
    ),
    "takes longer than any number tells": Program(_EMIT + "    told('stop', 'case 0', '1' + '0' * 400)\n    return 7\n", *_REPORT),
    "a column without an end": Program(
        _EMIT + "    import json\n    index = ['range', [['int', '0x0'], ['int', hex(10**12)], ['int', '0x1']]]\n"
        "    column = ['list', [['int', '0x5'], ['none', None], index, ['str', 'int64']]]\n"
        "    told('value', '0', json.dumps(['pandas', ['Series', column]]))\n    return 2 * x\n", *_REPORT,
    ),
    "an end that lacks its time": Program(_EMIT + "    told('stop', 'case 0')\n    return 2 * x\n", *_REPORT),
    "swaps the result for its own": Program(
        "def f(x):" + TO_RESULT + "    import unittest\n    frame.f_locals['result'] = unittest.TestResult()\n    return 7\n",
        # Before Python 3.13 f_locals is a copy, and the swap has no effect.
        *((TAMPER, "report") if sys.version_info >= (3, 13) else (FAIL,)), kinds=JUDGED_INSIDE,
    ),
    "writes to every descriptor": Program(
        in_f("import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'PASS' * 9)\n    except OSError: pass"), TAMPER, "report"
    ),
    "closes every descriptor": Program(
        in_f("import os\nos.closerange(0, 64)"), (Verdict.EARLY_EXIT, ERROR, FAIL), kinds=(SUITE, ASSERTS, CALLS, STDIO)
    ),
    "turns the report to its own output": Program(
        in_f("import os\nos.dup2(1, 3)"), Verdict.EARLY_EXIT, kinds=IN_PROCESS,
    ),
    "turns the report into a file": Program(
        in_f("import os\nfd = os.open('report', os.O_CREAT | os.O_RDWR)\nos.dup2(fd, 3)"), Verdict.EARLY_EXIT, kinds=IN_PROCESS
    ),
    "looks for the harness in __main__": Program("import __main__\nf = __main__.CODES\n", ERROR, "AttributeError"),
    "imports the harness": Program("import _harness\n", ERROR, "ModuleNotFoundError"),
    "skips": Program("import unittest\ndef f(x):\n    raise unittest.SkipTest('no')\n", FAIL, "", unlike={
        SUITE: (FAIL, "skipped TestF.test_d"), ASSERTS: (FAIL, "skipped asserts"),
        CALLS: (ERROR, "SkipTest"), STDIO: (ERROR, "SkipTest")}),
    "skips on import": Program("import unittest\nraise unittest.SkipTest('no')\n", ERROR, "SkipTest"),
    "an exception that unittest swallows": Program(
        "import unittest.case\ndef f(x):\n    raise unittest.case._ShouldStop\n", (FAIL, ERROR, TAMPER)
    ),
    "reads the tests": Program(in_f("open('test_solution.py')"), ERROR, "FileNotFoundError"),
    "looks for the tests' source on disk": Program(
        in_f("import os\nassert sorted(os.listdir()) == ['solution.py'], os.listdir()"), PASS
    ),
    "asks inspect for the tests": Program(
        in_f("import inspect, test_solution; inspect.getsource(test_solution)"), ERROR, "OSError", kinds=(SUITE,)
    ),
    "asks linecache for the tests": Program(
        in_f("import linecache, sys\nassert not linecache.getlines(sys._getframe(1).f_code.co_filename)"), PASS, kinds=(SUITE,)
    ),
    "prints only the first line": Program("print(input() and 4)\nraise SystemExit\n", FAIL, "case 0", kinds=(STDIO,)),
}  # fmt: skip
