"""Two processes on the CPU (gloo) train as one: the same curve and weights, whatever holds them, also across a change of devices.

One process imports, and forks the ranks of each run: nine starts of Python would take most of the test's time.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

NEEDS_DEEPSPEED = pytest.mark.skipif(find_spec("deepspeed") is None, reason="the extra deepspeed is not installed")
ZERO_2, ZERO_3 = (pytest.param(f"deepspeed_{stage}", marks=NEEDS_DEEPSPEED) for stage in (2, 3))
RANKS = """
import json, os, signal, sys
import iterpref.train, iterpref.models.export, iterpref.data.datamodule, iterpref.run_record, iterpref.tracking
import peft, torch, lightning, transformers, iterpref.models.module, torch.distributed.checkpoint.state_dict, torch.distributed.fsdp
from iterpref.cli import run_task
from iterpref.config import load
from omegaconf import OmegaConf
torch.set_num_threads(1)
for line in sys.stdin:
    said = json.loads(line)
    children = []
    for rank in range(said["world"]):
        pid = os.fork()
        if pid == 0:
            os.environ.update(said["environment"])
            if said["world"] > 1:
                os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(said["world"]))
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            if said.get("replays"):  # as on a GPU where passes are graphs
                import iterpref.strategies
                iterpref.strategies.replays = iterpref.models.module.replays = lambda trainer: True
            if said.get("stop_after"):  # SIGTERM to this rank alone, in the middle of a pass
                hook = said.get("stop_in", "training_step")
                step = getattr(iterpref.models.module.FocalDPOModule, hook)
                seen = []
                def stopping(self, batch, batch_idx):
                    seen.append(batch_idx)
                    if rank == said["world"] - 1 and len(seen) == said["stop_after"]:
                        os.kill(os.getpid(), signal.SIGTERM)
                    return step(self, batch, batch_idx)
                setattr(iterpref.models.module.FocalDPOModule, hook, stopping)
            code = 0
            try:
                run_task(lambda: iterpref.train.train(load(OmegaConf.create(said["config"]))))
            except SystemExit as error:
                code = error.code or 0
            except BaseException:
                import traceback
                traceback.print_exc()
                code = 1
            sys.stderr.flush()
            os._exit(code)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    print(json.dumps(codes), flush=True)
"""
# Seven pairs in batches of four: the last batch has three, one for one rank and two for the other; then another epoch.
OVERRIDES = [
    "experiment=smoke", "problems.limit=8", "data.global_batch=4", "data.micro_batch=1", "data.max_train_pairs=7", "model.hidden=32",
    "trainer.epochs=2", "trainer.validations_per_epoch=1", "data.max_validation_pairs=2",
]  # fmt: skip


class Ranks:
    def __init__(self, errors: Path) -> None:
        self._errors = errors
        self._process = subprocess.Popen(
            [sys.executable, "-c", RANKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=errors.open("w"),
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def codes(self, config: Any, **said: Any) -> list[int]:
        from iterpref.config import to_dict

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        line = {"config": to_dict(config), "world": config.trainer.devices, "environment": environment, **said}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def train(self, config: Any, **said: Any) -> Path:
        codes = self.codes(config, **said)
        assert codes == [0] * config.trainer.devices, self._errors.read_text()[-3000:]
        return Path(config.paths.run)

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("devices")


@pytest.fixture(scope="module")
def ranks(work: Path) -> Iterator[Ranks]:
    started = Ranks(work / "errors.txt")
    yield started
    started.close()


def config_of(work: Path, run: str, *overrides: str) -> Any:
    from hydra import compose, initialize_config_dir

    from iterpref.cli import CONFIG_DIR, register_schema
    from iterpref.config import load

    register_schema()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
        places = [f"paths.data={work / 'data'}", f"paths.run={work / run}"]
        return load(compose("train", [*OVERRIDES, *places, *overrides]))


@pytest.fixture(scope="module")
def alone(work: Path, ranks: Ranks) -> Path:
    """The run on one device that the others are held against."""
    return ranks.train(config_of(work, "alone"))


def curve(run: Path, *columns: str) -> list[list[float]]:
    columns = columns or ("step", "train/loss", "train/grad_norm", "train/lr")
    with (run / "metrics.csv").open(newline="") as handle:
        return [[float(row[c]) for c in columns] for row in csv.DictReader(handle) if all(row[c] for c in columns)]


def weights(run: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(run / "export" / "model.safetensors")


def assert_the_same_run(run: Path, other: Path) -> None:
    import torch

    assert len(curve(run)) == 4
    assert curve(run) == [pytest.approx(line, rel=2e-4) for line in curve(other)]
    assert curve(run, "step", "val/loss") == [
        pytest.approx(line, rel=1e-4) for line in curve(other, "step", "val/loss")
    ]
    for name, weight in weights(other).items():
        torch.testing.assert_close(weights(run)[name], weight, rtol=1e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", ZERO_2, ZERO_3])
@pytest.mark.parametrize("more", [(), ("reference=live", "data.packing=padded", "model.gradient_checkpointing=true")])
def test_two_devices_train_as_one_whatever_the_last_batch_has(
    strategy: str, more: tuple[str, ...], work: Path, ranks: Ranks, alone: Path
) -> None:
    run = ranks.train(
        config_of(work, f"{strategy}{len(more)}", "trainer.devices=2", f"trainer.strategy={strategy}", *more)
    )
    assert_the_same_run(run, alone)


def test_copies_that_add_up_their_gradients_behind_the_last_pass_train_as_one(
    work: Path, ranks: Ranks, alone: Path
) -> None:
    config = config_of(work, "copies", "trainer.devices=2", "trainer.strategy=ddp")
    assert_the_same_run(ranks.train(config, replays=True), alone)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", ZERO_2, ZERO_3])
def test_adapters_train_on_two_devices_as_on_one(strategy: str, work: Path, ranks: Ranks) -> None:
    lora = ("model.lora.rank=4", "reference=adapter")
    if not (work / "lora").exists():
        ranks.train(config_of(work, "lora", *lora))
    run = ranks.train(config_of(work, f"lora-{strategy}", "trainer.devices=2", f"trainer.strategy={strategy}", *lora))
    assert_the_same_run(run, work / "lora")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", ZERO_2, ZERO_3])
def test_a_run_stopped_by_sigterm_on_one_rank_is_stored_and_goes_on(
    strategy: str, work: Path, ranks: Ranks, alone: Path
) -> None:
    from iterpref.checkpoints import checkpoint_step

    config = config_of(work, f"stopped-{strategy}", "trainer.devices=2", f"trainer.strategy={strategy}")
    # Two passes a step; the signal comes in the first pass of the second epoch.
    assert ranks.codes(config, stop_after=5) == [128 + signal.SIGTERM] * 2
    run = Path(config.paths.run)
    assert checkpoint_step(run / "checkpoints" / "last.ckpt") == 3
    assert not (run / "done.json").exists()
    assert_the_same_run(ranks.train(config), alone)


@NEEDS_DEEPSPEED
@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 2)])
def test_a_stopped_run_goes_on_with_the_other_stage_of_zero(
    before: int, after: int, work: Path, ranks: Ranks, alone: Path
) -> None:
    def config(stage: int) -> Any:
        return config_of(work, f"stage-{before}", "trainer.devices=2", f"trainer.strategy=deepspeed_{stage}")

    assert ranks.codes(config(before), stop_after=5) == [128 + signal.SIGTERM] * 2
    assert_the_same_run(ranks.train(config(after)), alone)


# The fourth pass of two devices ends an epoch, whose last step has fewer passes on one.
@pytest.mark.parametrize(("before", "after", "passes"), [(1, 2, 3), (2, 1, 1), (2, 1, 4)])
def test_a_stopped_run_goes_on_with_another_number_of_devices(
    before: int, after: int, passes: int, work: Path, ranks: Ranks, alone: Path
) -> None:
    def config(devices: int) -> Any:
        several = ["trainer.devices=2", "trainer.strategy=ddp"] if devices == 2 else []
        return config_of(work, f"elastic-{before}-{after}-{passes}", *several)

    assert ranks.codes(config(before), stop_after=passes) == [128 + signal.SIGTERM] * before
    assert_the_same_run(ranks.train(config(after)), alone)


@pytest.mark.parametrize(
    ("devices", "stop_in", "passes"), [(1, "training_step", 7), (1, "validation_step", 2), (2, "validation_step", 1)]
)
def test_a_run_stopped_before_or_in_a_validation_makes_up_for_it(
    devices: int, stop_in: str, passes: int, work: Path, ranks: Ranks, alone: Path
) -> None:
    from iterpref.checkpoints import checkpoint_step

    several = ["trainer.devices=2", "trainer.strategy=ddp"] if devices == 2 else []
    config = config_of(work, f"validating-{devices}-{stop_in}", *several)
    assert ranks.codes(config, stop_after=passes, stop_in=stop_in) == [128 + signal.SIGTERM] * devices
    checkpoints = Path(config.paths.run) / "checkpoints"
    assert checkpoint_step(checkpoints / "last.ckpt") == 2
    assert not (checkpoints / "best.ckpt").exists()
    assert_the_same_run(ranks.train(config), alone)


@pytest.mark.parametrize("strategy", ["fsdp2", ZERO_2, ZERO_3])
def test_a_folder_of_shards_becomes_the_exported_folder(strategy: str, work: Path, ranks: Ranks, alone: Path) -> None:
    import torch

    from iterpref.checkpoints import policy_weights

    run = work / f"{strategy}0"
    if not run.exists():
        ranks.train(config_of(work, f"{strategy}0", "trainer.devices=2", f"trainer.strategy={strategy}"))
    assert (run / "checkpoints" / "best.ckpt").is_dir()
    stored, exported = policy_weights(run / "checkpoints" / "last.ckpt"), weights(run)
    for name, weight in exported.items():
        assert torch.equal(stored[name], weight), name


DIES = """
import os, signal, sys, time
if os.environ["RANK"] == "1":
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (DIES, r"rank 1 of 2 was killed by signal 9"),
        ("import os; os._exit(int(os.environ['RANK']) * 7)", "rank 1 of 2 ended with code 7"),
    ],
)
def test_a_rank_that_dies_ends_the_others_with_an_error(script: str, expected: str, tmp_path: Path) -> None:
    from iterpref.config import Config
    from iterpref.errors import UserError
    from iterpref.launch import launch

    config, begin = Config(), time.monotonic()
    config.trainer.devices = 2
    with pytest.raises(UserError, match=expected):
        launch(config, tmp_path, ("-c", script))
    assert time.monotonic() - begin < 60
    assert not list(tmp_path.iterdir())


SAYS = """
import os, time
from iterpref.launch import _say
code, spoken = int(os.environ["CODE"]), os.environ["SPOKEN"]
if code != 2 and os.environ["RANK"] == "1":
    while not os.path.exists(spoken):
        time.sleep(0.01)
    os._exit(code)
try:
    _say(1000 * "no room ", 2)
except SystemExit:
    if code == 2:
        raise
open(spoken, "w").close()
time.sleep(1000)  # until it is stopped, because the other one has died
"""
DIED = "rank 1 of 2 ended with code 7, and the others were stopped: see its message above; the same command goes on from the last checkpoint"


@pytest.mark.parametrize(("code", "also"), [("2", ""), ("7", f"\n{DIED}")])
def test_what_ranks_say_is_told_once_and_a_death_beside_it_is_named(
    code: str, also: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iterpref.config import Config
    from iterpref.errors import UserError
    from iterpref.launch import launch

    monkeypatch.setenv("CODE", code)
    monkeypatch.setenv("SPOKEN", str(tmp_path / "spoken"))
    config = Config()
    config.trainer.devices = 2
    with pytest.raises(UserError) as told:
        launch(config, tmp_path, ("-c", SAYS))
    assert str(told.value) == 1000 * "no room " + also


def test_a_mistake_that_every_rank_meets_is_told_by_the_one_that_started_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from iterpref.config import Config
    from iterpref.errors import UserError
    from iterpref.launch import launch

    config = Config()
    config.paths.run = str(tmp_path)
    config.trainer.devices, config.loss.beta = 2, -1.0  # which a rank meets before it imports much
    with pytest.raises(UserError, match=r"^[^\n]*loss\.beta[^\n]*-1[^\n]*$"):
        launch(config, tmp_path)
    assert "beta" not in capfd.readouterr().err


def test_the_command_starts_a_process_for_each_device(work: Path, alone: Path) -> None:
    """The command line itself, to a run that is the same."""
    command = [
        *OVERRIDES,
        f"paths.data={work / 'data'}",
        f"paths.run={work / 'command'}",
        "trainer.devices=2",
        "trainer.strategy=ddp",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "iterpref.train", *command], cwd=work, capture_output=True, text=True, timeout=300,
        stdin=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert_the_same_run(work / "command", alone)
    record = json.loads((work / "command" / "run.json").read_text())
    assert "trainer.devices=2" in record["command"]
    assert record["overrides"] == command
    assert "trained 4 steps" in (work / "command" / "train.log").read_text()
    shutil.rmtree(work / "command")
