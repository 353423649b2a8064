"""Sets of 64-bit hashes in a file, and those of them that share a rare element: for more sets than memory holds."""

from __future__ import annotations

import hashlib
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from iterpref.codeflow.shingles import Hashes

PART = 2**21  # hashes that are sorted at once: some 100 MB of working space
_BUFFER = 2**17  # hashes that are read or written at once
_Ints = npt.NDArray[np.int64]


class HashSets:
    """Sorted sets in one file, by the order in which they were added; 24 bytes of memory a set. `close` removes the file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("w+b", buffering=2**20)
        self._ends = array("q", [0])  # in hashes
        self._digests = bytearray()

    def add(self, hashes: Hashes) -> None:
        data = hashes.tobytes()
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(hashes))
        self._digests += hashlib.blake2b(data, digest_size=16).digest()

    def finish(self) -> Self:
        """To be called between the last `add` and the first look."""
        self._file.flush()
        return self

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, i: int) -> Hashes:
        start, end = self._ends[i], self._ends[i + 1]
        return np.frombuffer(os.pread(self._file.fileno(), 8 * (end - start), 8 * start), np.uint64)

    def digests(self) -> npt.NDArray[Any]:
        """16 bytes for each set; equal sets, and only those, share them."""
        return np.frombuffer(bytes(self._digests), "S16")

    def blocks(self, indices: Sequence[int] | _Ints) -> Iterator[list[Hashes]]:
        """The sets of `indices`, about `_BUFFER` hashes at a time."""
        block: list[Hashes] = []
        size = 0
        for i in indices:
            block.append(self[i])
            size += len(block[-1])
            if size >= _BUFFER:
                yield block
                block, size = [], 0
        if block:
            yield block

    def size(self, indices: _Ints) -> int:
        ends = np.frombuffer(self._ends, np.int64)
        return int((ends[indices + 1] - ends[indices]).sum())

    def close(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


class _Parts:
    """A column of numbers in a few files, by the leading bits of a hash: what belongs together is in one part."""

    def __init__(self, folder: Path, name: str, bits: int) -> None:
        self._paths = [folder / f".{name}.{p}" for p in range(2**bits)]
        self._read = [0] * len(self._paths)
        self._bits = bits
        for path in self._paths:
            path.write_bytes(b"")

    def __len__(self) -> int:
        return len(self._paths)

    def of(self, hashes: Hashes) -> npt.NDArray[np.uint64]:
        """The number of the part of each hash."""
        return hashes >> np.uint64(64 - self._bits) if self._bits else np.zeros_like(hashes)

    def append(self, p: int, numbers: npt.NDArray[Any]) -> None:
        # Opened each time: hundreds of parts would use up a process's descriptors.
        with self._paths[p].open("ab") as file:
            file.write(numbers.tobytes())

    def take(self, p: int, n: int, kind: type[np.generic]) -> npt.NDArray[Any]:
        """The next `n` numbers of a part; -1: all that are left."""
        with self._paths[p].open("rb") as file:
            file.seek(self._read[p])
            data = file.read(n * np.dtype(kind).itemsize if n >= 0 else -1)
        self._read[p] += len(data)
        return np.frombuffer(data, kind)

    def remove(self) -> None:
        for path in self._paths:
            path.unlink(missing_ok=True)


def sharing_a_prefix(sets: HashSets, indices: _Ints, threshold: float, folder: Path) -> Iterator[list[int]]:
    """Groups of `indices` whose sets share one of their rarest elements; each pair of Jaccard index >= threshold is in one of them.

    By the leading bits of the hashes, so that no more than about `PART` of them are looked at together.
    """
    bits = min(8, max(0, math.ceil(math.log2(max(sets.size(indices), 1) / PART))))
    hashes, counts, prefixes, owners = (_Parts(folder, n, bits) for n in ("hashes", "counts", "prefixes", "owners"))
    try:
        _count(sets, indices, hashes, counts)
        _write_prefixes(sets, indices, threshold, counts, prefixes, owners)
        for p in range(len(prefixes)):
            found, owner = prefixes.take(p, -1, np.uint64), owners.take(p, -1, np.int64)
            order = np.lexsort((owner, found))
            for group in np.split(owner[order], np.flatnonzero(np.diff(found[order])) + 1):
                if len(group) > 1:
                    yield group.tolist()
    finally:
        for parts in (hashes, counts, prefixes, owners):
            parts.remove()


def _count(sets: HashSets, indices: _Ints, hashes: _Parts, counts: _Parts) -> None:
    """How often each element occurs in all of the sets, at the place of each of its occurrences."""
    for block in sets.blocks(indices):
        flat = np.concatenate(block)
        part = hashes.of(flat)
        for p in range(len(hashes)):
            hashes.append(p, flat[part == p])
    for p in range(len(hashes)):
        _, place, times = np.unique(hashes.take(p, -1, np.uint64), return_inverse=True, return_counts=True)
        counts.append(p, times[place].astype(np.uint32))


def _write_prefixes(
    sets: HashSets, indices: _Ints, threshold: float, counts: _Parts, prefixes: _Parts, owners: _Parts
) -> None:
    """The first n - ceil(t n) + 1 elements of each set, rare before common, and the index of the set beside each."""
    done = 0
    for block in sets.blocks(indices):
        flat = np.concatenate(block)
        part = counts.of(flat)
        times = np.empty(len(flat), np.uint32)
        for p in range(len(counts)):
            mine = part == p
            times[mine] = counts.take(p, int(mine.sum()), np.uint32)
        chosen, owner = [], []
        for i, (one, its_times) in enumerate(
            zip(block, np.split(times, np.cumsum([len(s) for s in block])[:-1]), strict=True), done
        ):
            n = len(one)
            length = min(n, n - math.ceil(threshold * n - 1e-9) + 1)
            chosen.append(one[np.argsort(its_times, kind="stable")[:length]])
            owner.append(np.full(len(chosen[-1]), indices[i]))
        done += len(block)
        flat, numbers = np.concatenate(chosen), np.concatenate(owner)
        part = prefixes.of(flat)
        for p in range(len(prefixes)):
            prefixes.append(p, flat[part == p])
            owners.append(p, numbers[part == p])
