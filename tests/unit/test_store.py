"""In-flight work in SQLite: what is recorded stays, also after a killed process."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from iterpref.codeflow.store import TrajectoryStore
from iterpref.errors import UserError
from iterpref.schema import Attempt, SourceFile, Timing, Verdict

ATTEMPT = Attempt(0, None, (SourceFile("a.py", "é\n"),), "sha", Verdict.TIMEOUT, "5 s", 0, 2)
TIMING = Timing("t#0", 0, 12.5, None, "plain")


def test_attempts_come_back_in_their_order(tmp_path: Path) -> None:
    store = TrajectoryStore(tmp_path / "new" / "s.sqlite")
    later = replace(ATTEMPT, i=10, parent=9)
    for attempt in (later, replace(ATTEMPT, i=2, parent=1), ATTEMPT):
        store.add("t#0", attempt, TIMING)
    assert store.history("t#0") == [ATTEMPT, replace(ATTEMPT, i=2, parent=1), later]
    assert store.history("t#1") == []
    store.close()


def test_the_first_record_of_a_version_stands(tmp_path: Path) -> None:
    store = TrajectoryStore(tmp_path / "s.sqlite")
    store.add("t#0", ATTEMPT, TIMING)
    store.add("t#0", replace(ATTEMPT, detail="again"), TIMING)
    assert store.history("t#0") == [ATTEMPT]
    assert list(store.timings()) == [TIMING]
    store.close()


def test_a_store_that_is_damaged_is_named_with_what_may_be_deleted(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=r"s\.sqlite: .*damaged.*delete this file.*none is paid for again"):
        TrajectoryStore(tmp_path / "s.sqlite")


def test_checks_of_references_are_kept(tmp_path: Path) -> None:
    store = TrajectoryStore(tmp_path / "s.sqlite")
    store.add_check("t", {"verdict": "PASS", "coverage": 0.75})
    store.add_check("t", {"verdict": "FAIL", "coverage": None})
    store.close()
    assert TrajectoryStore(tmp_path / "s.sqlite").checks() == {"t": {"verdict": "FAIL", "coverage": None}}


def test_several_threads_may_write(tmp_path: Path) -> None:
    store = TrajectoryStore(tmp_path / "s.sqlite")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.add(f"t#{n % 5}", replace(ATTEMPT, i=n), TIMING), range(100)))
    assert sum(len(store.history(f"t#{n}")) for n in range(5)) == 100
    store.close()


def test_a_killed_process_loses_nothing_that_it_recorded(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from dataclasses import replace\n"
        "from iterpref.codeflow.store import TrajectoryStore; from iterpref.schema import *\n"
        "store = TrajectoryStore(Path(sys.argv[1]))\n"
        "for i in range(3):\n"
        "    store.add('t#0', Attempt(i, None, (), 's', Verdict.FAIL, '', 0, 1), Timing('t#0', i, 1.0, None, 'x'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s.sqlite")], env=dict(os.environ), check=False
    )
    assert ended.returncode == -signal.SIGKILL
    store = TrajectoryStore(tmp_path / "s.sqlite")
    assert [a.i for a in store.history("t#0")] == [0, 1, 2]
    assert [t.i for t in store.timings()] == [0, 1, 2]
    store.close()


def test_a_full_disk_is_an_error_of_the_disk(tmp_path: Path) -> None:
    store = TrajectoryStore(tmp_path / "s.sqlite")
    store._run("PRAGMA max_page_count=6")
    large = [replace(ATTEMPT, i=i, stdout_tail="x" * 4096) for i in range(20)]
    with pytest.raises(OSError, match="full") as caught:
        list(map(lambda attempt: store.add("t#0", attempt, TIMING), large))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "s.sqlite"))
    store.close()


def test_another_error_of_the_database_keeps_its_name(tmp_path: Path) -> None:
    store = TrajectoryStore(tmp_path / "s.sqlite")
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        store._run("SELEC")
    store.close()
