"""One process for each device of a host, all or none: who dies takes the others along, a signal reaches them all.

    python -m iterpref.train trainer.devices=8                       this process starts eight, and waits for them
    torchrun --nnodes=2 --nproc-per-node=8 -m iterpref.train ...     torchrun has started sixteen; this is one of them

A process that we start gets the finished config, not the command line: a folder named by the time is one folder for all.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from iterpref.config import Config, TrainerConfig, load, to_dict
from iterpref.config.training import world_size
from iterpref.errors import UserError
from iterpref.processes import die_with_parent

log = logging.getLogger(__name__)

_GRACE_S = 30.0  # for the others, once one has failed: they may be about to say why
_SAVING_S = 600.0  # for all, after SIGTERM: a checkpoint may be large
_POLL_S = 0.1


def rank() -> int:
    """This process's number in the whole job; 0 where it is alone."""
    return int(os.environ.get("RANK", 0))


def is_rank() -> bool:
    """Whether somebody has started this process as one of several."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def enter(config: TrainerConfig, *, named: bool = True) -> None:
    """Makes this process the rank that its environment says; raises `UserError` where that is another job than the config's.

    Args:
        named: whether the run's folder was given by name, and so is the same in all processes.
    """
    started, wanted = int(os.environ.get("WORLD_SIZE", 1)), world_size(config)
    if started != wanted:
        raise UserError(
            f"{started} processes were started, but trainer.devices={config.devices} and trainer.nodes={config.nodes} "
            f"ask for {wanted}: change one of them"
        )
    if started > 1 and not named:
        raise UserError("several processes of one run need one folder: add paths.run=DIR")
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % max(torch.cuda.device_count(), 1))


def needs_launch(config: TrainerConfig) -> bool:
    """Whether this process is to start the ranks; raises `UserError` where somebody else has to."""
    if world_size(config) == 1 or is_rank():
        return False
    if config.nodes > 1:
        raise UserError(
            f"trainer.nodes={config.nodes}: each node starts its own processes; "
            f"run on each: torchrun --nnodes={config.nodes} --nproc-per-node={config.devices} -m iterpref.train ... (docs/scaling.md)"
        )
    return True


def launch(config: Config, run: Path, command: tuple[str, ...] = ("-m", "iterpref.launch")) -> None:
    """Runs `train(config)` in `trainer.devices` processes; raises `UserError` when one fails, after the others have ended."""
    run.mkdir(parents=True, exist_ok=True)
    file = run / ".launch.json"
    file.write_text(json.dumps({"config": to_dict(config), "argv": sys.argv}), encoding="utf-8")
    common = {
        **os.environ, "WORLD_SIZE": str(config.trainer.devices), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()),
        "NODE_RANK": "0",
    }  # fmt: skip
    ranks = [
        # The pipe says when this process is gone, however it went.
        subprocess.Popen([sys.executable, *command, str(file)], env={**common, "RANK": str(r), "LOCAL_RANK": str(r)}, stdin=subprocess.PIPE)
        for r in range(config.trainer.devices)
    ]  # fmt: skip
    stopped: list[int] = []

    def forward(number: int, frame: Any) -> None:
        stopped.append(number)
        for process in ranks:
            process.terminate()

    before = {number: signal.signal(number, forward) for number in _stop_signals()}
    try:
        _wait(ranks, stopped)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        file.unlink(missing_ok=True)
    if stopped:
        end_by(stopped[0], before.get(stopped[0]))


def _wait(ranks: list[subprocess.Popen[bytes]], stopped: list[int]) -> None:
    """Until all have ended well, or one has not and the others are gone."""
    failed, deadline = None, None
    while None in (codes := [process.poll() for process in ranks]):
        if failed is None and not stopped and (bad := [r for r, code in enumerate(codes) if code]):
            failed, deadline = bad[0], time.monotonic() + _GRACE_S
            log.error("rank %d of %d ended with %d; stopping the others", failed, len(ranks), codes[failed])
            for process in ranks:
                process.terminate()
        if stopped and deadline is None:
            deadline = time.monotonic() + _SAVING_S
        if deadline is not None and time.monotonic() > deadline:
            for process in ranks:
                process.kill()
        time.sleep(_POLL_S)
    codes = [process.returncode for process in ranks]
    if stopped or not any(codes):
        return
    failed = failed if failed is not None else next(r for r, code in enumerate(codes) if code)
    code = codes[failed] or 0
    if 2 in codes:
        raise SystemExit(2)  # it has said why
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    raise UserError(
        f"rank {failed} of {len(ranks)} {how}, and the others were stopped: see its message above; "
        "the same command goes on from the last checkpoint"
    )


def _stop_signals() -> list[int]:
    """SIGTERM, and what a scheduler's handler is installed for; only the main thread may have handlers."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [signal.SIGTERM, *(s for s in (signal.SIGUSR1, signal.SIGUSR2) if callable(signal.getsignal(s)))]


def end_by(number: int, handler: Any) -> None:
    """What the signal would have done: a scheduler's handler puts the job back into its queue, SIGTERM ends the process."""
    if callable(handler):
        handler(number, None)
    raise SystemExit(128 + number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """One rank: `python -m iterpref.launch FILE`."""
    from iterpref.cli import run_task
    from iterpref.train import train

    die_with_parent()
    said = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.argv = said["argv"]
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if rank() == 0:  # where Hydra would write it
        handlers.append(logging.FileHandler(Path(said["config"]["paths"]["run"]) / "train.log", encoding="utf-8"))
    logging.basicConfig(
        level=logging.INFO if rank() == 0 else logging.WARNING,
        format="[%(asctime)s][%(name)s][%(levelname)s] - %(message)s",
        handlers=handlers,
    )
    from omegaconf import OmegaConf

    run_task(lambda: train(load(OmegaConf.create(said["config"]))))


if __name__ == "__main__":
    main()
