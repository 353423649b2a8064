"""One process for each device of a host, all or none: who dies takes the others along, a signal reaches them all.

    python -m iterpref.train trainer.devices=8                       this process starts eight, and waits for them
    torchrun --nnodes=2 --nproc-per-node=8 -m iterpref.train ...     torchrun has started sixteen; this is one of them

A process that we start gets the finished config, not the command line: a folder named by the time is one folder for all.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from iterpref.config import Config, TrainerConfig, load, to_dict
from iterpref.config.training import world_size
from iterpref.errors import UserError
from iterpref.processes import die_with_parent

log = logging.getLogger(__name__)

_GRACE_S = 30.0  # for the others, once one has failed: they may be about to say why
_SAVING_S = 600.0  # for all, after SIGTERM: a checkpoint may be large
_POLL_S = 0.1
_MESSAGE_BYTES = 2**15


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
        _Rank([*command, str(file)], {**common, "RANK": str(r), "LOCAL_RANK": str(r)})
        for r in range(config.trainer.devices)
    ]
    stopped: list[int] = []

    def forward(number: int, frame: Any) -> None:
        stopped.append(number)
        for one in ranks:
            one.process.terminate()

    before = {number: signal.signal(number, forward) for number in _stop_signals()}
    try:
        _wait(ranks, stopped)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        file.unlink(missing_ok=True)
    if stopped:
        end_by(stopped[0], before.get(stopped[0]))


class _Rank:
    """A process, and the socket that is its standard input: by it a rank knows that we are gone, and we why it has ended."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self._link, theirs = socket.socketpair()
        self.process = subprocess.Popen([sys.executable, *arguments], env=environment, stdin=theirs.fileno())
        theirs.close()

    def said(self) -> str:
        """What its user is to read, once it has ended; empty where it has not ended by itself."""
        self._link.setblocking(False)
        try:
            return self._link.recv(_MESSAGE_BYTES).decode(errors="replace")
        except OSError:  # nothing, and a process of its own still holds the other end
            return ""


def _say(message: str, code: int) -> NoReturn:
    """Ends this rank; the process that has started it prints the message, once for all ranks that say the same."""
    with socket.fromfd(0, socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.send(message.encode()[:_MESSAGE_BYTES], socket.MSG_DONTWAIT)
    raise SystemExit(code)


def _wait(ranks: list[_Rank], stopped: list[int]) -> None:
    """Until all have ended well, or one has not and the others are gone."""
    failed, deadline = list[int](), None
    while None in (codes := [one.process.poll() for one in ranks]):
        if not failed and not stopped and (failed := _bad(codes)):
            deadline = time.monotonic() + _GRACE_S
            log.error("rank %d of %d ended with %d; stopping the others", failed[0], len(ranks), codes[failed[0]])
            for one in ranks:
                one.process.terminate()
        if stopped and deadline is None:
            deadline = time.monotonic() + _SAVING_S
        if deadline is not None and time.monotonic() > deadline:
            for one in ranks:
                one.process.kill()
        time.sleep(_POLL_S)
    if stopped or not any(codes):
        return
    said = [message for one in ranks if (message := one.said())]
    # Those that end later do so because one is gone.
    died = [_death(r, len(ranks), codes[r] or 0) for r in failed or _bad(codes) if codes[r] != 2]
    if told := [*dict.fromkeys(said), *died]:
        raise UserError("\n".join(told))
    raise SystemExit(2)


def _bad(codes: Sequence[int | None]) -> list[int]:
    return [r for r, code in enumerate(codes) if code]


def _death(rank: int, of: int, code: int) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    return (
        f"rank {rank} of {of} {how}, and the others were stopped: see its message above; "
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

    parser = argparse.ArgumentParser(
        prog="python -m iterpref.launch",
        description="One rank of a run, which iterpref.train trainer.devices=N starts.",
    )
    parser.add_argument("file", type=Path, help="what it is to do")
    file = parser.parse_args().file
    die_with_parent()
    said = json.loads(file.read_text(encoding="utf-8"))
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

    try:
        run_task(lambda: train(load(OmegaConf.create(said["config"]))), stop=_say)
    except SystemExit as end:
        _leave(end.code if isinstance(end.code, int) else int(end.code is not None))
    except BaseException:
        traceback.print_exc()
        _leave(1)


def _leave(code: int) -> None:
    """Ends a rank that has failed, at once: what an interpreter clears up at its end may wait for the other ranks, NCCL's
    communicator does, and they wait for this one."""
    if code:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
