"""Parallel jobs on one host: a GPU each.

The process of a job claims one before torch looks for any, beginning with its own number, and keeps it as long as it lives: a
worker that runs several jobs runs them on one GPU. The claim is a locked file, so that two sweeps share a host as well.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from iterpref.config import Config
from iterpref.config.training import world_size
from iterpref.errors import UserError

log = logging.getLogger(__name__)

# What the sweep hands to its jobs: the GPUs that it sees itself. A launcher may hide them all from its workers.
OFFER = "ITERPREF_GPUS"
_claimed: tuple[str, FileLock | None] | None = None  # the GPU of this process, and the lock that says so


def refuse_shared_devices(config: Config, launcher: str | None) -> None:
    """Raises `UserError` for jobs of several processes, unless the launcher gives each job a host to itself."""
    if world_size(config.trainer) > 1 and launcher != "submitit_slurm":
        raise UserError(
            f"trainer.devices={config.trainer.devices} in a sweep on one host would give the jobs each other's devices: "
            "sweep with trainer.devices=1 (launcher=joblib gives each job a GPU), use launcher=submitit, or start the runs one by one"
        )


def offer_gpus() -> None:
    """Tells the processes that this one starts which GPUs there are; the process itself claims none."""
    os.environ[OFFER] = f"{os.getpid()}:{','.join(visible_gpus())}"


def visible_gpus() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; found without torch, which would pin them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() and name.strip() != "-1"]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.rpartition("UUID: ")[2].rstrip(") ") for line in listed.splitlines() if line.startswith("GPU ")]


def claim_gpu(job: int, folder: Path | None = None) -> str | None:
    """Makes one of the offered GPUs the only one of this process, and returns its name; None where there is no choice.

    With more workers than GPUs, job n shares GPU n mod their number, and the log says so.
    """
    global _claimed
    owner, _, names = os.environ.get(OFFER, "").partition(":")
    devices = names.split(",") if names else []
    # In the sweep's own process jobs run one after the other, with whatever it sees.
    if not devices or owner == str(os.getpid()):
        return None
    if _claimed is not None:
        return _claimed[0]
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        raise RuntimeError("torch has opened a GPU before this job could claim one")
    folder = folder or Path(tempfile.gettempdir()) / f"iterpref-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    turn = job % len(devices)
    for device in devices[turn:] + devices[:turn]:
        lock = FileLock(folder / f"{device.replace('/', '_')}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _claimed = (device, lock)
        break
    else:
        device = devices[turn]
        _claimed = (device, None)
        log.warning("all %d GPUs are taken: job %d shares %s", len(devices), job, device)
    os.environ["CUDA_VISIBLE_DEVICES"] = device
    return device
