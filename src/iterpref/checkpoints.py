"""Checkpoints that are whole or not there: written beside their place, then renamed. A file, or a folder of shards.

    checkpoints/{last,best}.ckpt      .NAME.partial: one that is being written      .NAME.previous: one that is being replaced

A kill or a full disk at any moment leaves the one before, or the new one, under its name or its `.previous`.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.distributed.checkpoint.api import CheckpointException

from iterpref.checksums import check_checkpoint, seal_shards, shard_places
from iterpref.errors import UserError
from iterpref.launch import rank

if TYPE_CHECKING:
    import lightning as L

_PROBE_BYTES = 2**20


class Checkpoints(ModelCheckpoint):
    """Lightning's, whose files are whole, and which knows the best of a run whose folder was moved or copied."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        paths = {n: here(state_dict[n]) for n in ("best_model_path", "kth_best_model_path", "last_model_path")}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        save_whole(trainer, Path(filepath))
        self._last_global_step_saved = trainer.global_step
        self._last_checkpoint_saved = filepath
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.after_save_checkpoint(self)


def save_whole(trainer: L.Trainer, path: Path) -> None:
    """`trainer.save_checkpoint(path)` on all ranks; `path` is the new checkpoint, or what it was before."""
    partial = _partial(path)
    if trainer.is_global_zero:
        _remove(partial)
    trainer.strategy.barrier()
    try:
        trainer.save_checkpoint(partial)
    except (OSError, RuntimeError, CheckpointException) as error:
        refused = _disk_error(error, path.parent)
        if isinstance(error, CheckpointException):
            trainer.strategy.barrier()  # all ranks have it, and look at the disk before there is room again
        _remove(partial)
        if refused is None:
            raise
        refused.filename = refused.filename or str(partial)
        raise refused from None
    if trainer.is_global_zero:
        if partial.is_dir():
            seal_shards(partial)
        _into_place(partial, path)
    trainer.strategy.barrier()


def _disk_error(error: BaseException, folder: Path) -> OSError | None:
    """What the disk said, where it was the disk. Of shards, `error` holds what each rank met."""
    met = [one for one, _ in error.failures.values()] if isinstance(error, CheckpointException) else [error]
    for one in met:
        if isinstance(one, OSError):
            return one
    if not any(isinstance(one, RuntimeError) for one in met):
        return None
    # torch may speak of a position in the file where the disk refused a block: ask the disk again.
    probe = folder / f".probe.{os.getpid()}"
    try:
        probe.write_bytes(bytes(_PROBE_BYTES))
    except OSError as refused:
        return OSError(refused.errno, refused.strerror)
    finally:
        probe.unlink(missing_ok=True)
    return None


class StreamedFiles(TorchCheckpointIO):
    """Writes a checkpoint straight to its file, where Lightning's holds a second copy in memory; a full disk is an `OSError`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with Path(path).open("wb") as handle:
                writer = _Writer(handle)
                try:
                    torch.save(checkpoint, writer)  # type: ignore[arg-type]
                except RuntimeError as error:
                    # torch speaks of a position in the file where the disk refused a block, or Ctrl-C came between two.
                    if writer.error is not None:
                        raise writer.error from None
                    if isinstance(error.__context__, KeyboardInterrupt):
                        raise error.__context__ from None
                    raise
                handle.flush()
                os.fsync(handle.fileno())
        except OSError as error:
            error.filename = error.filename or str(path)
            raise


class _Writer:
    """A file that remembers why it could not be written."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return int(self._handle.write(data))
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._handle.flush()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _into_place(partial: Path, path: Path) -> None:
    """Files replace files in one step; a folder cannot, so the old one steps aside first (`recover` brings it back)."""
    if not partial.is_dir() and not path.is_dir():
        partial.replace(path)
        return
    previous = _previous(path)
    if path.exists():
        _remove(previous)
        path.rename(previous)
    partial.rename(path)
    _remove(previous)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _previous(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")


def remove_checkpoints(folder: Path) -> None:
    """Removes a run's checkpoints, and nothing else that may stand there: somebody may have named a folder of his own."""
    for path in (folder / "last.ckpt", folder / "best.ckpt"):
        for one in (path, _partial(path), _previous(path)):
            _remove(one)


def recover(path: Path) -> Path | None:
    """The checkpoint at `path`, brought back if a kill fell between two renames; None where there is none."""
    if not path.exists():
        try:
            _previous(path).rename(path)
        except FileNotFoundError:
            return path if path.exists() else None  # another rank was faster
    return path


def read_checkpoint(path: Path, *, weights: bool = False) -> dict[str, Any]:
    """What `path` holds beside tensors, `global_step` among it; with `weights`, also `state_dict`, on the CPU, all bits checked.

    Raises `UserError` for what is no checkpoint of ours.
    """
    with _told_as_unreadable(path):
        if weights:
            check_checkpoint(path)
        return _read(path, weights)


def check_bits(path: Path) -> None:
    """Raises `UserError` where the checkpoint is not what was written, bit by bit. The ranks of a run share the reading."""
    with _told_as_unreadable(path):
        check_checkpoint(path, rank(), int(os.environ.get("WORLD_SIZE", 1)))


@contextmanager
def _told_as_unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # an unpickler meets anything in a file that is cut or of another kind
        reason = str(error).partition(". ")[0]  # torch adds what to tell its developers
        raise UserError(
            f"{path} is no checkpoint that can be read ({type(error).__name__}: {reason}): "
            f"put it back from a copy, {_other(path)}or train anew with resume=false"
        ) from None


def _other(path: Path) -> str:
    """What the run's other checkpoint, if that can be read, is good for."""
    other = path.with_name("best.ckpt" if path.name == "last.ckpt" else "last.ckpt")
    try:
        step = int(_read(other)["global_step"])
    except Exception:  # of the same kinds
        return ""
    return f"remove it and copy {other.name} (of step {step}) to its place, "


def _read(path: Path, weights: bool = False) -> dict[str, Any]:
    if path.is_dir():
        checkpoint = torch.load(path / "meta.pt", weights_only=True, map_location="cpu")
        _check_shards(path)
        return {**checkpoint, "state_dict": _joined(path, checkpoint.get("shapes", {}))} if weights else checkpoint
    with path.open("rb") as handle:
        if not zipfile.is_zipfile(handle):  # torch would speak of other formats that it knows
            raise ValueError("it is cut short, or of another kind")
    # Mapped, not read: the weights in it may be large.
    return torch.load(path, mmap=True, weights_only=True, map_location="cpu")


def _check_shards(folder: Path) -> None:
    """Raises `ValueError` where a file of shards is missing or cut short: torch would meet that in the middle of its loading."""
    for part in shard_places(folder):
        file = folder / part.relative_path
        if not file.is_file() or file.stat().st_size < part.offset + part.length:
            raise ValueError(f"{file.name} is {'cut short' if file.is_file() else 'missing'}")


def _joined(folder: Path, shapes: dict[str, list[int]]) -> dict[str, Any]:
    """The weights of a folder of shards, in memory; `shapes`: of those that are stored flat."""
    from torch.distributed.checkpoint import FileSystemReader
    from torch.distributed.checkpoint.state_dict_loader import load

    prefix = "state_dict."
    metadata = FileSystemReader(folder).read_metadata()
    state = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)  # type: ignore[union-attr]
        for name, entry in metadata.state_dict_metadata.items()
        if name.startswith(prefix) and hasattr(entry, "size")
    }
    load(state, checkpoint_id=folder, no_dist=True)
    whole = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return {name: tensor.view(shapes.get(name, tensor.shape)) for name, tensor in whole.items()}


def checkpoint_step(checkpoint: Path) -> int:
    """Optimizer steps done when the checkpoint was written."""
    return int(read_checkpoint(checkpoint)["global_step"])


def policy_weights(checkpoint: Path) -> dict[str, Any]:
    """The policy's trained tensors by their name in the policy; those of adapters alone where only they train."""
    state = read_checkpoint(checkpoint, weights=True)["state_dict"]
    return {name.removeprefix("policy."): tensor for name, tensor in state.items()}
