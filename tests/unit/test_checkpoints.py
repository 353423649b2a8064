"""A checkpoint is whole or not there: a full disk and a kill at each point leave one that loads."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from iterpref.checkpoints import (
    Checkpoints,
    StreamedFiles,
    _Writer,
    check_bits,
    checkpoint_step,
    policy_weights,
    recover,
    remove_checkpoints,
    save_whole,
)
from iterpref.errors import UserError


def trainer(step: int, size: int = 100_000) -> Any:
    """What `save_whole` asks of a trainer, writing through the real file writer."""
    content = {"global_step": step, "state_dict": {"policy.w": torch.full((size,), float(step))}}
    return SimpleNamespace(
        is_global_zero=True, strategy=SimpleNamespace(barrier=lambda: None),
        save_checkpoint=lambda path: StreamedFiles().save_checkpoint(content, path),
    )  # fmt: skip


def sharded(step: int) -> Any:
    """A trainer whose checkpoints are folders of shards, as torch.distributed.checkpoint writes them."""
    from torch.distributed.checkpoint.state_dict_saver import save

    def write(path: Path) -> None:
        save(
            {"state_dict": {"policy.w": torch.full((3, 2), float(step))}, "optimizer_0": {"t": torch.ones(2)}},
            checkpoint_id=path,
            no_dist=True,
        )
        torch.save({"global_step": step}, path / "meta.pt")

    return SimpleNamespace(is_global_zero=True, strategy=SimpleNamespace(barrier=lambda: None), save_checkpoint=write)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("room", [0, 1000, 200_000])
def test_a_disk_that_is_full_half_way_leaves_the_last_good_checkpoint(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    save_whole(trainer(1), path)
    write = _Writer.write

    def full(self: _Writer, data: Any) -> int:
        if self._handle.tell() + len(data) > room:
            self.error = OSError(errno.ENOSPC, "No space left on device", self._handle.name)
            raise self.error
        return write(self, data)

    monkeypatch.setattr(_Writer, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        save_whole(trainer(2), path)
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == ["last.ckpt"]  # the half is gone, for its room is needed
    assert checkpoint_step(path) == 1
    assert torch.equal(policy_weights(path)["w"], torch.ones(100_000))


def test_a_real_device_without_room_is_an_os_error_that_names_the_file() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match="No space left") as caught:
        StreamedFiles().save_checkpoint({"w": torch.zeros(1_000_000)}, "/dev/full")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")


@pytest.mark.parametrize("make", [trainer, sharded])
@pytest.mark.parametrize(
    "moment", ["while writing", "before the first rename", "before the second rename", "after all"]
)
def test_a_kill_at_any_moment_leaves_a_checkpoint_that_loads(
    make: Any, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill is an exception that nothing cleans up after: `BaseException` passes the handler of a full disk."""
    path = tmp_path / "last.ckpt"
    save_whole(make(1), path)
    second, rename, calls = make(2), Path.rename, []

    def dying(self: Path, target: Any) -> Any:
        if Path(target).name not in (path.name, f".{path.name}.previous"):
            return rename(self, target)  # torch's, of its index
        calls.append(target)
        if len(calls) == {"before the first rename": 1, "before the second rename": 2}.get(moment, 0):
            raise KeyboardInterrupt
        return rename(self, target)

    whole = second.save_checkpoint

    def half(where: Path) -> None:
        whole(where)
        raise KeyboardInterrupt

    if moment == "while writing":
        second.save_checkpoint = half
    monkeypatch.setattr(Path, "rename", dying)
    monkeypatch.setattr(Path, "replace", dying)
    with contextlib.suppress(KeyboardInterrupt):
        save_whole(second, path)
    monkeypatch.undo()
    found = recover(path)
    assert found is not None
    step = checkpoint_step(found)
    # A file is replaced in one step, so there is no second rename.
    done = moment == "after all" or (make is trainer and moment == "before the second rename")
    assert step == (2 if done else 1)
    assert set(policy_weights(found)["w"].flatten().tolist()) == {float(step)}
    save_whole(make(3), path)
    assert checkpoint_step(path) == 3
    assert names(tmp_path) == ["last.ckpt"]


FULL = OSError(errno.ENOSPC, "No space left on device")


def refusing(error: Exception) -> Any:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    return refuse


@pytest.mark.parametrize(
    "said", [FULL, RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")]
)
def test_a_full_disk_under_a_folder_of_shards_is_an_os_error_whatever_torch_says_of_it(
    said: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch.distributed.checkpoint.filesystem as filesystem

    path = tmp_path / "last.ckpt"
    save_whole(sharded(1), path)
    monkeypatch.setattr(filesystem, "_write_item", refusing(said))
    monkeypatch.setattr(Path, "write_bytes", refusing(FULL))
    with pytest.raises(OSError, match="No space left") as caught:
        save_whole(sharded(2), path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / ".last.ckpt.partial"))
    assert names(tmp_path) == ["last.ckpt"]
    assert checkpoint_step(path) == 1


def test_the_best_of_a_run_that_was_moved_is_its_best_still(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    before = Checkpoints(dirpath=there, monitor="val/loss", filename="best", save_last=True)
    best = str(there / "best.ckpt")
    before.best_model_path = before.kth_best_model_path = best
    before.last_model_path = str(there / "last.ckpt")
    before.best_k_models, before.best_model_score = {best: torch.tensor(0.5)}, torch.tensor(0.5)
    after = Checkpoints(dirpath=here, monitor="val/loss", filename="best", save_last=True)
    after.load_state_dict(before.state_dict())
    assert after.best_k_models == {str(here / "best.ckpt"): torch.tensor(0.5)}
    assert after.best_model_path == after.kth_best_model_path == str(here / "best.ckpt")
    assert (after.last_model_path, after.best_model_score) == (str(here / "last.ckpt"), torch.tensor(0.5))


def test_an_error_that_is_not_the_disks_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.distributed.checkpoint.filesystem as filesystem
    from torch.distributed.checkpoint.api import CheckpointException

    path = tmp_path / "last.ckpt"
    save_whole(sharded(1), path)
    monkeypatch.setattr(filesystem, "_write_item", refusing(RuntimeError("of another kind")))
    with pytest.raises(CheckpointException, match="of another kind"):
        save_whole(sharded(2), path)
    assert names(tmp_path) == ["last.ckpt"]
    assert checkpoint_step(path) == 1


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    assert recover(tmp_path / "last.ckpt") is None
    (tmp_path / "last.ckpt").write_bytes(b"not this")
    with pytest.raises(UserError, match=r"last\.ckpt is no checkpoint that can be read"):
        checkpoint_step(tmp_path / "last.ckpt")


@pytest.mark.parametrize("content", [b"", b"not this", b"\x80"])
def test_shards_without_their_head_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").mkdir()
    (tmp_path / "last.ckpt" / "meta.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"last\.ckpt is no checkpoint that can be read"):
        checkpoint_step(tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda file: file.unlink(), r"__0_0\.distcp is missing"),
        (lambda file: os.truncate(file, file.stat().st_size - 1), r"__0_0\.distcp is cut short"),
        (lambda file: (file.parent / ".metadata").unlink(), r"\.metadata"),
    ],
)
def test_a_shard_that_is_missing_or_cut_short_is_named_before_any_is_loaded(
    harm: Any, expected: str, tmp_path: Path
) -> None:
    save_whole(sharded(1), tmp_path / "last.ckpt")
    assert checkpoint_step(tmp_path / "last.ckpt") == 1
    harm(tmp_path / "last.ckpt" / "__0_0.distcp")
    with pytest.raises(UserError, match=rf"last\.ckpt is no checkpoint that can be read .*{expected}.*resume=false"):
        checkpoint_step(tmp_path / "last.ckpt")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_told_as_such(share: float, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save_whole(trainer(1), path)
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(UserError, match=r"last\.ckpt is no checkpoint that can be read .*cut short"):
        checkpoint_step(path)


def flip(file: Path, number: float | None) -> None:
    """One bit of a stored number, or in the middle of the file; the length stays."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2 if number is None else content.index(2 * struct.pack("<f", number))] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "file", "number", "expected"),
    [
        (trainer, "", 7.0, r"last\.ckpt is damaged: the bits of .*data/0 are not those"),
        (sharded, "__0_0.distcp", 7.0, r"__0_0\.distcp is damaged"),
        (sharded, "__0_0.distcp", 1.0, r"__0_0\.distcp is damaged"),
        (sharded, ".metadata", None, r"\.metadata is damaged"),
    ],
)
def test_a_bit_that_has_changed_is_told_before_anything_is_loaded(
    make: Any, file: str, number: float | None, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "last.ckpt"
    save_whole(make(7), path)
    check_bits(path)
    flip(path / file if file else path, number)
    for look in (check_bits, policy_weights):
        with pytest.raises(UserError, match=rf"{expected}.*put it back from a copy, or train anew with resume=false"):
            look(path)
    save_whole(make(3), tmp_path / "best.ckpt")
    with pytest.raises(UserError, match=r"remove it and copy best\.ckpt \(of step 3\) to its place, or train anew"):
        check_bits(path)


def test_ranks_share_the_reading_of_shards_and_one_of_them_finds_the_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_whole(sharded(1), tmp_path / "last.ckpt")
    flip(tmp_path / "last.ckpt" / "__0_0.distcp", 1.0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        try:
            check_bits(tmp_path / "last.ckpt")
        except UserError:
            found.append(rank)
    assert len(found) == 1


def test_a_new_run_removes_its_own_checkpoints_alone(tmp_path: Path) -> None:
    for made in (trainer(1), sharded(2)):
        save_whole(made, tmp_path / "last.ckpt")
        save_whole(made, tmp_path / "best.ckpt")
    (tmp_path / ".best.ckpt.partial").mkdir()
    (tmp_path / ".last.ckpt.previous").write_bytes(b"half")
    (tmp_path / "epoch=3.ckpt").write_bytes(b"of another trainer")
    remove_checkpoints(tmp_path)
    assert names(tmp_path) == ["epoch=3.ckpt"]
    remove_checkpoints(tmp_path / "absent")


def test_ctrl_c_inside_of_a_checkpoint_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = _Writer.write
    blocks: list[int] = []

    def interrupted(self: _Writer, data: bytes) -> int:
        blocks.append(write(self, data))
        if len(blocks) == 4:
            raise KeyboardInterrupt
        return blocks[-1]

    monkeypatch.setattr(_Writer, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        StreamedFiles().save_checkpoint({"w": torch.zeros(1_000)}, tmp_path / "x.ckpt")
