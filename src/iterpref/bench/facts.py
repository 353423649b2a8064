"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from iterpref.codeflow.sandbox.sharing import usable_cores


def machine_facts() -> dict[str, Any]:
    """Cores, processor, Python, kernel, load (of the last minute) and date, in plain types."""
    return {
        "cores": usable_cores(),
        "cpu": cpu_model(),
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "load": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def package_version(package: str) -> str | None:
    """What is installed; None: nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cpu_model() -> str:
    """The processor's name as the system tells it, else its architecture."""
    name = ""
    if sys.platform == "darwin":
        name = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        ).stdout.strip()
    else:
        path = Path("/proc/cpuinfo")
        rows = path.read_text().splitlines() if path.is_file() else []
        name = next((row.partition(":")[2].strip() for row in rows if row.startswith("model name")), "")
    return name or platform.machine()


def peak_mib(who: int) -> int:
    """Peak memory of this process (`resource.RUSAGE_SELF`) or of the largest child that has ended (`RUSAGE_CHILDREN`), MiB."""
    # Linux counts kB, macOS bytes.
    return round(resource.getrusage(who).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
