"""The doctor on machines that this one is not: facts are put in its way, and its lines are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from iterpref import doctor
from iterpref.codeflow.sandbox import sharing
from iterpref.codeflow.sandbox.coverage import NOT_COVERED, not_covered
from iterpref.doctor import machine, walls
from iterpref.doctor.finding import Finding, guarded, words

SECRET = "0123456789abcdef0123456789abcdef01234567"


def only(findings) -> Finding:
    (finding,) = list(findings)
    return finding


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def system(monkeypatch, tmp_path):
    """A /proc and a /sys of our own, empty at first, outside of any container."""
    for module, name in ((machine, "PROC"), (walls, "PROC"), (machine, "CGROUP"), (sharing, "CGROUP"), (walls, "LSM")):
        monkeypatch.setattr(module, name, tmp_path / name.lower())
    monkeypatch.setattr(walls, "CONTAINER_MARKS", (tmp_path / "dockerenv",))
    monkeypatch.setattr(walls, "runs_as_root", lambda: False)


# Machine


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10), "missing"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "missing")]
)
def test_python_3_11_to_3_13_will_do(monkeypatch, version, state):
    monkeypatch.setattr(machine.sys, "version_info", (*version, 0, "final", 0))
    assert only(machine.check_python()).state == state


def test_a_quota_of_the_container_is_told_with_the_number_of_workers_that_fits(monkeypatch, system):
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    assert only(machine.check_cores()).state == "ok"
    write(machine.CGROUP / "cpu.max", "250000 100000\n")
    finding = only(machine.check_cores())
    assert (finding.state, finding.remedy) == ("warning", "sandbox.workers=2")
    assert "2.5" in finding.found
    write(machine.CGROUP / "cpu.max", "max 100000\n")
    assert only(machine.check_cores()).state == "ok"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "1000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_a_control_group_of_either_version_limits_the_cores_that_are_used(monkeypatch, system, files, cores):
    monkeypatch.setattr(sharing.os, "sched_getaffinity", lambda _: set(range(8)))
    for name, text in files.items():
        write(sharing.CGROUP / name, f"{text}\n")
    assert sharing.usable_cores.__wrapped__() == cores


def test_a_load_above_the_cores_is_a_warning(monkeypatch, system):
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (2.5, 0.0, 0.0))
    assert only(machine.check_cores()).state == "warning"


def test_memory_is_the_machines_or_the_containers_whichever_is_less(system):
    write(machine.PROC / "meminfo", "MemTotal: 33554432 kB\nMemFree: 1 kB\nMemAvailable: 16777216 kB\n")
    assert machine.memory_gib() == (32.0, 16.0)
    write(machine.CGROUP / "memory.max", str(8 * 2**30))
    write(machine.CGROUP / "memory.current", str(3 * 2**30))
    assert machine.memory_gib() == (8.0, 5.0)
    assert only(machine.check_memory()).state == "warning"


def test_without_proc_memory_and_cores_are_told_all_the_same(system):
    assert only(machine.check_memory()).state == "ok"
    assert [finding.name for finding in guarded(machine.check_cores)] == ["Cores"]


def test_a_full_disk_is_a_warning_and_a_folder_that_cannot_be_is_missing(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: usage(2**40, 2**40, 2**20))
    (tmp_path / "file").write_text("")
    data, runs, _ = machine.check_folders(tmp_path / "new" / "data", tmp_path / "file" / "runs")
    assert (data.state, data.remedy) == ("warning", "paths.data=DIR")
    assert (runs.state, runs.remedy) == ("missing", "paths.run=DIR")
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_refuses_a_file_is_missing(monkeypatch, tmp_path):
    def refuse(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refuse)
    data, *_ = machine.check_folders(tmp_path, tmp_path)
    assert data.state == "missing"
    assert "Permission denied" in data.found


def test_an_encoding_other_than_utf_8_is_a_warning(monkeypatch):
    monkeypatch.setattr(machine.locale, "getpreferredencoding", lambda set_locale: "ISO-8859-1")
    finding = only(machine.check_encoding())
    assert (finding.state, finding.remedy) == ("warning", "export PYTHONUTF8=1")


# Sandbox


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("in_container", [False, True])
def test_a_sysctl_that_forbids_namespaces_is_named_only_where_it_is_set_so(
    monkeypatch, system, name, value, command, in_container
):
    monkeypatch.setattr(walls.sys, "platform", "linux")
    if in_container:
        write(walls.CONTAINER_MARKS[0], "")
    without = walls.remedy("namespaces", "PermissionError", "landlock")
    assert without == (walls.OPEN_CONTAINER if in_container else "sandbox.tier=landlock")
    write(walls.PROC / "sys" / name, f"{value}\n")
    assert walls.remedy("namespaces", "PermissionError", "landlock") == command
    write(walls.PROC / "sys" / name, "1\n" if value == "0" else "0\n")
    assert walls.remedy("namespaces", "PermissionError", "landlock") == without


def test_landlock_is_asked_for_where_the_kernel_has_it_switched_off(monkeypatch, system):
    monkeypatch.setattr(walls.sys, "platform", "linux")
    monkeypatch.setattr(walls.platform, "release", lambda: "6.8.0-31-generic")
    write(walls.LSM, "lockdown,capability,yama,apparmor\n")
    assert "lsm=landlock,lockdown,capability,yama,apparmor" in walls.remedy("landlock", "no Landlock", None)
    monkeypatch.setattr(walls.platform, "release", lambda: "5.10.0-28-amd64")
    assert walls.remedy("landlock", "no Landlock", None).startswith(walls.UNSAFE)


def sandbox_lines(monkeypatch, chosen: str | None = "namespaces", **tried) -> dict[str, Finding]:
    """`tier=(why it does not work, what a program reached)`; the others work and hold."""
    monkeypatch.setattr(walls, "attempt", lambda tier: tried.get(tier, ("", ())))
    monkeypatch.setattr(walls, "chosen", lambda: chosen)
    return {finding.name: finding for finding in walls.check_sandbox()}


def test_the_strongest_tier_that_works_is_in_use(monkeypatch, system):
    assert "namespaces" in sandbox_lines(monkeypatch)["Sandbox"].found
    lines = sandbox_lines(monkeypatch, "landlock", namespaces=("unshare: Operation not permitted", ()))
    assert lines["Sandbox"].state == "ok"
    assert "landlock" in lines["Sandbox"].found
    assert "Operation not permitted" in lines["tier namespaces"].found


def test_without_a_safe_tier_the_sandbox_is_missing(monkeypatch, system):
    gone = ("needs Linux, got darwin", ())
    lines = sandbox_lines(
        monkeypatch, None, namespaces=gone, landlock=gone, bwrap=gone, plain=("", ("a port of ours",))
    )
    assert (lines["Sandbox"].state, lines["Sandbox"].remedy) == ("missing", "sandbox.allow_unsafe=true")
    assert lines["tier plain"].state == "ok"
    assert "a port of ours" in lines["tier plain"].found


@pytest.mark.parametrize("outcome", [("", ("a file of ours",)), ("HARNESS_ERROR: walls", ())])
def test_a_tier_that_can_be_put_up_and_then_fails_is_to_be_replaced_by_one_that_holds(monkeypatch, system, outcome):
    lines = sandbox_lines(monkeypatch, namespaces=outcome)
    assert lines["tier namespaces"].state == "warning"
    assert (lines["Sandbox"].state, lines["Sandbox"].remedy) == ("missing", "sandbox.tier=landlock")


@pytest.mark.parametrize("as_root", [False, True])
def test_programs_that_run_as_root_are_a_warning(monkeypatch, system, as_root):
    monkeypatch.setattr(walls, "runs_as_root", lambda: as_root)
    assert ("Sandbox user" in sandbox_lines(monkeypatch)) == as_root
    assert (walls.remedy("namespaces", "PermissionError", None) == walls.ORDINARY_USER) == as_root


@pytest.mark.parametrize("tier", ["namespaces", "landlock", "plain", "bwrap"])
def test_a_program_reaches_nothing_of_ours_but_in_plain(tier):
    reason, reached = walls.attempt(tier)
    if reason and tier != "plain":
        pytest.skip(f"{tier}: {reason}")
    assert reason == ""
    assert ("a port of ours" in reached) == (tier == "plain")
    assert tier == "plain" or reached == ()


def test_every_tier_says_what_it_does_not_cover():
    assert set(NOT_COVERED) == set(walls.TIERS)
    for tier, texts in walls.coverage().items():
        assert len(set(texts)) == len(texts) > 3, tier
        assert all(text[0].isupper() or text.startswith(("/", "bubblewrap", "macOS", "uname")) for text in texts)
        assert all(text.endswith(".") and "\n" not in text for text in texts)


def test_an_older_landlock_covers_less():
    new, old = not_covered("landlock", 7), not_covered("landlock", 2)
    assert set(new) < set(old)
    assert any("truncate" in text for text in set(old) - set(new))


# The report


def test_a_check_that_raises_becomes_a_line_and_keeps_what_it_found_before():
    def check_walls_of_jericho():
        yield Finding("First", "ok", "here")
        raise RuntimeError("they\nfell")

    first, second = guarded(check_walls_of_jericho)
    assert first.found == "here"
    assert (second.name, second.state) == ("walls of jericho", "warning")
    assert "RuntimeError: they fell" in second.found


def test_what_a_check_cannot_import_is_missing():
    def check_something():
        import no_such_module_anywhere  # noqa: F401

        yield Finding("Never", "ok", "seen")

    assert only(guarded(check_something)).state == "missing"


def test_a_finding_has_a_remedy_of_one_line_exactly_if_it_is_not_ok():
    for state, remedy in (("ok", "do this"), ("warning", ""), ("missing", ""), ("warning", "two\nlines")):
        with pytest.raises(ValueError, match="expected"):
            Finding("x", state, "found", remedy)


def test_of_a_traceback_its_last_line_is_told():
    assert words('Traceback:\n  File "x.py", line 1\n    boom()\nOSError: [Errno 1] no') == "OSError: [Errno 1] no"
    assert len(words("x" * 1000)) == 300


@pytest.mark.parametrize(("states", "status"), [("ok ok", 0), ("ok warning", 0), ("warning missing", 1)])
def test_only_what_is_missing_fails_the_command(states, status):
    findings = [Finding("x", state, "found", "" if state == "ok" else "do this") for state in states.split()]
    assert doctor.exit_status({"a": findings[:1], "b": findings[1:]}) == status


def test_each_line_and_its_remedy_are_printed_whole():
    lines: list[str] = []
    remedy = "sudo sysctl -w " + "x" * 300
    doctor.show({"Machine": [Finding("Thing", "missing", "not there", remedy)]}, lambda text, style: lines.append(text))
    assert any("missing" in line and "Thing" in line and "not there" in line for line in lines)
    assert any(line.strip() == f"-> {remedy}" for line in lines)
    assert lines[-1].endswith("missing: Thing")
    for tier in NOT_COVERED:
        assert any(tier in line for line in lines)


def run_doctor(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "iterpref.doctor", *arguments]
    return subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )


def test_the_command_prints_json_that_scripts_can_read_and_no_secret(tmp_path):
    (tmp_path / ".netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {SECRET}\n")
    hidden = {"WANDB_API_KEY": SECRET, "HF_TOKEN": SECRET, "HF_ENDPOINT": f"https://{SECRET}@example.org"}
    done = run_doctor(tmp_path, "--json", HOME=str(tmp_path), WANDB_BASE_URL=f"https://{SECRET}@example.org", **hidden)
    told = json.loads(done.stdout)
    assert SECRET not in done.stdout + done.stderr
    assert done.returncode == (0 if told["ok"] else 1)
    assert set(told) == {"iterpref", "ok", "findings", "not_covered"}
    by_name = {finding["name"]: finding for finding in told["findings"]}
    assert {"Python", "Cores", "Memory", "Sandbox", "tier landlock", "torch", "triton", "wandb runs"} <= set(by_name)
    assert not any("could not be checked" in finding["found"] for finding in told["findings"])
    assert told["ok"] == all(finding["state"] != "missing" for finding in told["findings"])
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == []


def test_a_torch_that_ends_python_is_a_line_of_the_report(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = run_doctor(tmp_path, PYTHONPATH=os.pathsep.join(paths))
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if " torch " in line and "missing" in line]
    assert "ended Python, status -4" in line
    assert "Needed and missing: torch" in done.stdout


def test_a_narrow_terminal_gets_texts_beside_their_margin_and_whole_remedies():
    said = []
    found = Finding("Cores", "warning", "words " * 12, "sandbox.workers=1  # " + "x" * 80)
    doctor.show({"Machine": [found]}, lambda text, style: said.append(text), 60)
    margin = " " * len("  warning  Cores  ")
    assert said[1].splitlines()[0].startswith("  warning  Cores  words words")
    assert all(line.startswith(f"{margin}words") for line in said[1].splitlines()[1:])
    assert max(map(len, said[1].splitlines())) <= 60
    assert said[2].endswith("x" * 80)
    assert "\n" not in said[2]
