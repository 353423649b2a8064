"""Python, cores, memory, disks and text encoding, as the operating system tells them."""

from __future__ import annotations

import locale
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from iterpref.codeflow.sandbox.sharing import CGROUP, core_quota, system_file, usable_cores
from iterpref.doctor.finding import Finding, words

PROC = Path("/proc")
PYTHONS = ((3, 11), (3, 13))  # the first and the last that pyproject.toml allows
# SmolLM2-135M in fp32 on a CPU: weights, gradients and Adam's two moments are 2.2 GB, libraries and one micro-batch of
# logits as much again.
DEMO_GIB = 6.0
# The demo's converted weights, checkpoint and export.
DATA_GIB = 5.0
TEMPORARY_GIB = 1.0


def check_python() -> Iterator[Finding]:
    found = f"{platform.python_version()} ({platform.python_implementation()}, {platform.machine()}, {sys.platform})"
    first, last = PYTHONS
    if first <= sys.version_info[:2] <= last:
        yield Finding("Python", "ok", found)
    else:
        wanted = ".".join(map(str, last))
        yield Finding(
            "Python",
            "missing",
            f"{found}; 3.{first[1]} to 3.{last[1]} are supported",
            f"make setup PYTHON=python{wanted}",
        )


def check_cores() -> Iterator[Finding]:
    cores, quota, load = usable_cores(), core_quota(), os.getloadavg()[0]
    found = f"{cores} usable of {os.cpu_count()}, load {load:.1f}"
    if quota is not None and quota < cores:
        workers = max(int(quota), 1)
        yield Finding("Cores", "warning", f"{found}; a quota allows {quota:g} at a time", f"sandbox.workers={workers}")
    elif load > cores:
        yield Finding("Cores", "warning", f"{found}: other programs need them all", "sandbox.workers=1")
    else:
        yield Finding("Cores", "ok", found)


def check_memory() -> Iterator[Finding]:
    total, free = memory_gib()
    if free is None:
        yield Finding("Memory", "ok", f"{total:.1f} GiB; this system does not tell how much is free")
    elif free < DEMO_GIB:
        found = f"{free:.1f} GiB free of {total:.1f}; the demo needs about {DEMO_GIB:g}"
        yield Finding("Memory", "warning", found, "data.micro_batch=1")
    else:
        yield Finding("Memory", "ok", f"{free:.1f} GiB free of {total:.1f}")


def memory_gib() -> tuple[float, float | None]:
    """(all, free) GiB: the machine's or the control group's, whichever is less; free is None where nobody tells."""
    rows = dict(row.split(":", 1) for row in system_file(PROC / "meminfo").splitlines() if ":" in row)
    if "MemAvailable" not in rows:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, None
    total, free = (int(rows[name].split()[0]) / 2**20 for name in ("MemTotal", "MemAvailable"))
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        values = [system_file(CGROUP / name) for name in (limit, used)]
        if all(value.isdigit() for value in values):
            most, taken = (int(value) / 2**30 for value in values)
            total, free = min(total, most), min(free, max(most - taken, 0.0))
    return total, free


def check_folders(data: Path, runs: Path) -> Iterator[Finding]:
    """Room and a right to write; files are made without a name, so that nothing is left of them."""
    yield _folder("Data cache", data, DATA_GIB, "paths.data=DIR")
    yield _folder("Runs", runs, DATA_GIB, "paths.run=DIR")
    try:
        temporary = Path(tempfile.gettempdir())
    except OSError as error:
        yield Finding("Temporary files", "missing", words(error), "export TMPDIR=DIR")
        return
    yield _folder("Temporary files", temporary, TEMPORARY_GIB, "export TMPDIR=DIR")


def _folder(name: str, folder: Path, need_gib: float, remedy: str) -> Finding:
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return Finding(name, "missing", f"{folder}: {place} is a file, not a folder", remedy)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"1")
            file.flush()
    except OSError as error:
        return Finding(name, "missing", f"{folder}: cannot be written to ({error.strerror or words(error)})", remedy)
    free = shutil.disk_usage(place).free / 2**30
    found = f"{folder}: writable, {free:.1f} GiB free"
    if free < need_gib:
        return Finding(name, "warning", f"{found}; about {need_gib:g} are wanted", remedy)
    return Finding(name, "ok", found)


def check_encoding() -> Iterator[Finding]:
    names = {
        "text files": locale.getpreferredencoding(False),
        "file names": sys.getfilesystemencoding(),
        "this terminal": getattr(sys.stdout, "encoding", None) or "unknown",
    }
    odd = [
        f"{what} in {name}" for what, name in names.items() if name.lower().replace("_", "-") not in ("utf-8", "utf8")
    ]
    if odd:
        yield Finding("Encoding", "warning", f"{', '.join(odd)}, where UTF-8 is expected", "export PYTHONUTF8=1")
    else:
        yield Finding("Encoding", "ok", "UTF-8")
