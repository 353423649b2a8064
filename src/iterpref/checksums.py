"""Whether files still hold the bits that were written: a disk or a copy may change some and keep the length.

A checkpoint is a zip, or a folder of files of them, whose records have their CRC-32: torch writes these, and does not look at them
when it loads. The index of a folder has its own beside it. Weights of a model have a SHA256SUMS, as `sha256sum --check` reads it.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from iterpref.artifacts import file_sha256, known_sha256
from iterpref.errors import UserError

_INDEX, _INDEX_CRC = ".metadata", ".metadata.crc32"
_SUMS = "SHA256SUMS"


def seal_shards(folder: Path) -> None:
    """Stores the checksum of the index of a folder of shards."""
    (folder / _INDEX_CRC).write_text(_crc(folder / _INDEX), encoding="utf-8")


def check_checkpoint(path: Path, part: int = 0, of: int = 1) -> None:
    """Raises `ValueError` where bits have changed; of `of` processes that share the reading, this is number `part`."""
    for name, zipped in _zips(path, part, of):
        try:
            with zipfile.ZipFile(zipped) as records:
                broken = records.testzip()
        except Exception as error:  # a head whose bits have changed may say anything
            raise ValueError(f"{name} is damaged ({type(error).__name__})") from None
        if broken is not None:
            raise ValueError(f"{name} is damaged: the bits of {broken} are not those that were written")


def _zips(path: Path, part: int, of: int) -> Iterator[tuple[str, Path | IO[bytes]]]:
    """(name, file or bytes) of what this process checks."""
    if not path.is_dir():
        if part == 0:
            yield path.name, path
        return
    sealed = path / _INDEX_CRC  # not in those of earlier versions
    if sealed.is_file() and sealed.read_text(encoding="utf-8") != _crc(path / _INDEX):
        raise ValueError(f"{_INDEX} is damaged")
    if part == 0:
        yield "meta.pt", path / "meta.pt"
    for place in sorted(shard_places(path), key=lambda at: (at.relative_path, at.offset))[part::of]:
        with (path / place.relative_path).open("rb") as file:
            file.seek(place.offset)
            yield place.relative_path, io.BytesIO(file.read(place.length))


def shard_places(folder: Path) -> list[Any]:
    """`relative_path`, `offset` and `length` of each stored tensor of a folder of shards."""
    from torch.distributed.checkpoint import FileSystemReader

    return list(FileSystemReader(folder).read_metadata().storage_data.values())


def _crc(file: Path) -> str:
    return f"{zlib.crc32(file.read_bytes()):08x}\n"


def write_sums(folder: Path) -> None:
    """Beside the weights in the folder, what `check_weights` holds them against."""
    lines = [f"{file_sha256(file)}  {file.name}\n" for file in sorted(folder.glob("*.safetensors"))]
    (folder / _SUMS).write_text("".join(lines), encoding="utf-8")


def check_weights(folder: Path) -> None:
    """Raises `UserError` where weights are not those that stand in the folder's SHA256SUMS; folders without one pass."""
    sums = folder / _SUMS
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines() if sums.is_file() else ():
        said, _, name = line.partition("  ")
        file = folder / name
        # A file that is missing is told by whoever loads it.
        if file.suffix == ".safetensors" and file.is_file() and known_sha256(file) != said:
            raise UserError(
                f"{file} has other bits than were written ({_SUMS}): make it again (an export: iterpref.convert RUN, of a model in "
                f"paths.data: delete its folder), or put it back from a copy; where it was changed on purpose, delete {sums}"
            )
