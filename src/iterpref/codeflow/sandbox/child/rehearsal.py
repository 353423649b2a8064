"""What a zygote does once before it serves: small programs of ours, through all that every run goes through.

A forked child pays for each page that it writes to first, and Python writes where it only reads: counters of code that is
not specialised yet, caches of attributes, modules that are imported late. What was written before the fork costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Iterator

from . import entries, wire
from .collector import Collector
from .modules import TaskFile, TaskImporter, install

TYPE_CHECKING = False
if TYPE_CHECKING:
    import unittest
    from typing import Any

    from .probe import Probe
    from .seals import Seals

TIMES = 12  # calls after which Python 3.11 to 3.13 have specialised a function
FEW = 3  # for what takes tens of milliseconds each time: caches are full then, and late imports done
FOLDER = "/box/work"

_SOLUTION = """
from collections import Counter, defaultdict
from dataclasses import dataclass

@dataclass
class Item:
    name: str
    price: float = 0.0

class Shop:
    def __init__(self, items):
        self._items = {item.name: item for item in items}

    @property
    def total(self):
        return sum(item.price for item in self._items.values())

    def find(self, name):
        if name not in self._items:
            raise KeyError(f"no {name!r}")
        return self._items[name]

def f(n):
    counts = defaultdict(int)
    for i, word in enumerate(sorted("b a b c".split(), key=len)):
        counts[word] += i
    return sum(range(n)), [str(i) for i in range(3)], dict(counts), {"a", n}, None, 0.5, Counter("aab").most_common(1)
"""
_TESTS = """
import unittest
from rehearsed_solution import Item, Shop, f

class Rehearsal(unittest.TestCase):
    def setUp(self):
        self.shop = Shop([Item("a", 1.0), Item("b", 2.5)])

    def test_equal(self):
        self.assertEqual(f(3)[0], 3)
        self.assertEqual(f(3)[1], ["0", "1", "2"])
        self.assertEqual(self.shop.find("a"), Item("a", 1.0))

    def test_other(self):
        self.assertTrue(f(3))
        self.assertFalse(f(3)[4])
        self.assertIsNone(f(3)[4])
        self.assertIn("a", f(3)[2])
        self.assertIsInstance(f(3)[1], list)
        self.assertGreater(f(3)[0], 2)
        self.assertAlmostEqual(self.shop.total, 3.5)
        with self.assertRaises(KeyError):
            self.shop.find("c")

    def test_raises(self):
        self.shop.find("c")

    def test_number(self):
        self.assertEqual(f(3)[0], 4)

    def test_list(self):
        self.assertEqual(f(3)[1], ["0", "2"])

    def test_text(self):
        self.assertEqual("a b", "a c")

    def test_dict(self):
        self.assertEqual({"a": 1}, {"a": 2})
"""
# What tasks with these modules do most. `numpy.random` is pinned after it.
_PRELOADED = {
    "numpy": """
import numpy as np

def f(n):
    a = np.array([[1, 2, 3], [4, 5, 6]], dtype=float)
    b = np.arange(6).reshape(3, 2)
    c = np.where(a > 2, a, 0.0).sum(axis=0) + np.zeros(3) + np.linspace(0, 1, 3)
    d = np.concatenate([a @ b, np.ones((1, 2))]), np.sort(a.ravel())[::-1], np.unique([1, 1, 2])
    return int(a.sum()), float(a.mean()), a.std(), a.max(), c, d, a.tolist(), np.allclose(a, a), np.dot(a[0], a[1]), repr(a)
""",
    "pandas": """
import pandas as pd

def f(n):
    table = pd.DataFrame({"k": ["a", "b", "a"], "x": [1, 2, 3], "y": [0.5, 1.5, 2.5]})
    table["z"] = table["x"] * 2 + table["y"]
    some = table[table["x"] > 1].sort_values("x", ascending=False).reset_index(drop=True)
    means = table.groupby("k")["y"].mean()
    both = table.merge(pd.DataFrame({"k": ["a"], "w": [1]}), on="k", how="left").fillna(0)
    several = pd.concat([table, some]), both, means, table["k"].value_counts(), table["x"].apply(str)
    return table.to_dict(), table.sum(numeric_only=True)["x"], table.loc[0, "x"], table.iloc[1], several, table.shape, str(table)
""",
}


def rehearse(
    preload: Collection[str], seals: Seals, probe: Probe, canary: type[unittest.TestCase], at_start: Collection[str]
) -> None:
    """Runs the programs, and leaves nothing of them but what the interpreter learned."""
    suite = {"rehearsed_solution.py": (_SOLUTION, False), "test_rehearsed.py": (_TESTS, True)}
    calls = [("arguments", ["tuple", [["int", "0x3"]]]), ("expression", "f(3)")]
    call: dict[str, Any] = {"kind": "calls", "setup": "", "function": "f", "calls": calls}
    programs: list[tuple[dict[str, tuple[str, bool]], dict[str, Any]]] = [
        (suite, {"kind": "suite"}),
        ({"rehearsed_solution.py": (_SOLUTION, False)}, call),
    ] * TIMES
    libraries = [name for name in preload if name in _PRELOADED]
    programs += [({f"rehearsed_{name}.py": (_PRELOADED[name], False)}, call) for name in libraries] * FEW
    descriptor = os.open(os.devnull, os.O_WRONLY)
    emit = wire.make_emit(descriptor, bytes(wire.TOKEN_BYTES))
    try:
        for texts, entry in programs:
            # A release of pandas that lacks something is no reason not to serve.
            with _stage(), contextlib.suppress(Exception):
                _perform(texts, entry, seals, probe, canary, emit, at_start)
            seals.forget_tests()
    finally:
        os.close(descriptor)


def _perform(
    texts: dict[str, tuple[str, bool]],
    entry: dict[str, Any],
    seals: Seals,
    probe: Probe,
    canary: type[unittest.TestCase],
    emit: Callable[..., None],
    at_start: Collection[str],
) -> None:
    files = [TaskFile(FOLDER, name, text, is_test) for name, (text, is_test) in texts.items()]
    probe.arm([file.label for file in files if file.is_test], any_is_meant=False)
    collector = Collector(emit, {file.label: (file.name, file.text) for file in files}, seals, long_names=False)
    canaries = entries.LOAD(canary)  # a suite lets go of each test that it has run
    task = entries.Task(files, emit, collector, seals, probe, canaries, coverage=None, leave=lambda status: None)
    codes = {file.path: file.compile(None) for file in files}
    install(TaskImporter(FOLDER, files, codes, probe), files, FOLDER, at_start)
    entries.ENTRIES[entry["kind"]](task, codes, entry)


@contextlib.contextmanager
def _stage() -> Iterator[None]:
    finders, path = sys.meta_path[:], sys.path[:]
    try:
        yield
    finally:
        sys.meta_path[:], sys.path[:] = finders, path
        for name in [name for name in sys.modules if "rehearsed" in name]:
            del sys.modules[name]


POOL_BYTES, FIRST_BLOCK = 1 << 14, 48  # of Python's allocator of small objects, since 3.10
BYTES_OVERHEAD = b"".__sizeof__()


_FILLING: list[bytes] = []


def fill_holes() -> None:
    """Takes every free place between small objects, so that a child puts its own on pages of their own: side by side, and
    not one on each page that it would have to copy for that."""
    for size in range(48, 513, 16):
        payload = size - BYTES_OVERHEAD
        for _ in range(100_000):
            block = bytes(payload)
            if id(block) % POOL_BYTES == FIRST_BLOCK:
                break  # the first of a fresh pool: no hole is left
            _FILLING.append(block)
