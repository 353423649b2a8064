"""The sandbox benchmark at its smallest: figures that make sense, and a soak that would notice what is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from iterpref.bench import sandbox as command
from iterpref.bench.rates import BARE, ROUNDS, Contender, Output, Rate
from iterpref.bench.soak import GROWTH_MB, Held, Soak, soak
from iterpref.bench.workloads import soak_mix, workloads
from iterpref.codeflow.sandbox import tiers
from iterpref.errors import UserError


@pytest.fixture(scope="module")
def tier() -> str:
    try:
        return tiers.choose("auto", allow_unsafe=False)
    except UserError as error:
        pytest.skip(str(error))


def test_a_tiny_run_writes_positive_figures_and_finds_nothing_left(tier, tmp_path):
    out = tmp_path / "new" / "figures.json"
    arguments = ["--seconds", "0.3", "--soak", "60", "--json", str(out)]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "iterpref.bench.sandbox", *arguments],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(out.read_text())
    assert told["tier"] == tier
    assert {"cores", "cpu", "python", "kernel", "load", "date"} == set(told["machine"])
    rows = {(row["task"], row["workers"]): row for row in told["rates"]}
    assert set(rows) == {(task, n) for task in (BARE, *(w.name for w in workloads())) for n in (1, 2)}
    for row in rows.values():
        if not row["lacks"]:
            assert row["runs"] >= ROUNDS * row["workers"]
            assert 0 < row["slowest_per_s"] <= row["per_s"] <= row["fastest_per_s"]
            assert 0 < row["p50_ms"] <= row["p99_ms"]
            assert row["bare"] or (row["test_cpu_ms"] > 0 and row["our_cpu_ms"] > 0)
    output = told["output_1_mib"]
    assert output["low_ms"] <= output["extra_ms"] <= output["high_ms"]
    assert output["quiet_ms"] > 0
    assert output["loud_ms"] > 0
    assert told["soak"]["left"] == []
    assert sum(told["soak"]["verdicts"].values()) == told["soak"]["runs"] == 60
    assert told["soak"]["warm_rss_mb"] > 0
    assert "Nothing was left" in done.stdout
    for task in (BARE, *(w.name for w in workloads())):
        assert task in done.stdout


def test_every_kind_of_program_in_the_soak_gets_its_verdict(tier):
    result = soak(tier, workers=2, n=0)
    assert result.left == ()
    names = {verdict.value for _, _, _, verdict in soak_mix("x")}
    assert names >= {"PASS", "FAIL", "ERROR", "CRASH", "TIMEOUT", "OUTPUT_LIMIT"}


LEAVES = """
import os, subprocess, sys, time
from pathlib import Path
from iterpref.bench.soak import held

folder, token = Path(sys.argv[1]), "token-of-nobody"
before = held(folder, token)
(folder / "left").write_text("")
descriptor = os.open(folder / "left", os.O_RDONLY)
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
zombie = subprocess.Popen([sys.executable, "-c", ""])
os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
after = held(folder, token)
sleeper.kill()
print(*(now - then for now, then in zip(vars(after).values(), vars(before).values())))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no /proc to count processes in")
def test_what_is_left_is_counted(tmp_path):
    done = subprocess.run([sys.executable, "-c", LEAVES, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["1", "1", "1", "1"], done.stderr  # processes, zombies, descriptors, files


def test_a_soak_tells_each_thing_that_is_more_than_before():
    clean = Held(processes=1, zombies=0, descriptors=6, files=0)
    good = Soak(10, {"PASS": 10}, (), clean, clean, 30.0, 30.0 + GROWTH_MB)
    assert good.left == ()
    bad = Soak(10, {"PASS": 10}, ("1 x wrong",), clean, Held(2, 1, 7, 1), 30.0, 31.0 + GROWTH_MB)
    told = " | ".join(bad.left)
    for name in ("processes: 1 before, 2 after", "zombies", "descriptors", "files", "memory", "1 x wrong"):
        assert name in told
    fewer = Soak(10, {}, (), Held(2, 0, 9, 0), clean, None, None)
    assert fewer.left == ()


def test_a_soak_that_left_something_fails_the_command(monkeypatch):
    clean = Held(0, 0, 6, 0)
    monkeypatch.setattr(command.tiers, "choose", lambda tier, allow_unsafe: "plain")
    monkeypatch.setattr(command, "soak", lambda tier, workers, n: Soak(n, {}, (), clean, Held(0, 0, 6, 1), None, None))
    with pytest.raises(SystemExit) as stopped:
        command.main(["--seconds", "0", "--soak", "5"])
    assert stopped.value.code == 1


def test_a_rate_is_the_median_of_its_rounds_and_a_thread_runs_at_least_once():
    calls = []
    contender = Contender("task", 2, lambda: calls.append(1) or 3.0, bare=False)
    for _ in range(3):
        contender.round(0.0)
    rate = contender.rate(known_cpu=True)
    assert isinstance(rate, Rate)
    assert rate.runs == len(calls) >= 6
    assert rate.slowest_per_s <= rate.per_s <= rate.fastest_per_s
    assert rate.test_cpu_ms == 3.0


@pytest.mark.parametrize("arguments", [["--seconds", "-1"], ["--seconds", "nan"], ["--soak", "-5"], ["--workers", "0"]])
def test_a_number_that_cannot_be_is_refused_in_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert f"argument {arguments[0]}: expected at least" in capsys.readouterr().err


def test_where_pandas_is_absent_its_rows_say_so(monkeypatch, capsys):
    rates = [Rate(BARE, 1, bare=True, per_s=100.0), Rate("numpy, pandas preloaded", 1, lacks="pandas")]
    figures = Output(2, 1.0, 2.0, 1.0, 0.5, 1.5)
    monkeypatch.setattr(command, "measure", lambda tier, seconds, workers: (rates, figures))
    monkeypatch.setattr(command.tiers, "choose", lambda tier, allow_unsafe: "plain")
    with pytest.raises(SystemExit) as stopped:
        command.main(["--tier", "plain", "--seconds", "1"])
    assert stopped.value.code == 0
    assert "numpy, pandas preloaded: no pandas here" in capsys.readouterr().out


def test_a_module_that_is_absent_is_found_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr("iterpref.bench.workloads.find_spec", lambda name: None if name == "pandas" else object())
    assert {w.name: w.lacks for w in workloads() if w.preload} == {
        "numpy preloaded": "",
        "numpy, pandas preloaded": "pandas",
    }
