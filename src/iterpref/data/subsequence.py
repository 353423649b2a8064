"""Lengths of longest common subsequences of suffixes, all of them out of one pass with machine words.

After Hyyrö (2004): a row of the table of lengths is one integer, whose bit k is 0 where the length grows with the k-th character.
"""

from __future__ import annotations

from collections import defaultdict
from math import isqrt

# Places of a character from which on their bits are kept: of rare ones they would take more room than all else.
_OFTEN = 32


class SuffixLengths:
    """`length(i, j)` = length of the longest common subsequence of `a[i:]` and `b[j:]`.

    Takes len(a) len(b) / 64 steps of a machine word, and rows of len(b) bits: of every sqrt(len(a))-th suffix, and of as many
    that stand together, which are made again where they are asked for. So ask in the order of `i`.
    """

    def __init__(self, a: str, b: str) -> None:
        self._a, self._n_b = a[::-1], len(b)
        self._all = (1 << len(b)) - 1
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        for k, character in enumerate(reversed(b)):
            self._places[character].append(k)
        self._bits = {c: _bits(places) for c, places in self._places.items() if len(places) >= _OFTEN}
        self._step = isqrt(len(a)) + 1
        row = self._all
        self._kept = [row]
        for n, character in enumerate(self._a, 1):
            row = self._next(row, character)
            if n % self._step == 0:
                self._kept.append(row)
        self.total = len(b) - row.bit_count()
        self._block, self._rows = -1, [row]

    def length(self, i: int, j: int) -> int:
        block, offset = divmod(len(self._a) - i, self._step)
        if block != self._block:
            start = block * self._step
            self._block, self._rows = block, [self._kept[block]]
            for character in self._a[start : start + self._step - 1]:
                self._rows.append(self._next(self._rows[-1], character))
        width = self._n_b - j
        return width - (self._rows[offset] & ((1 << width) - 1)).bit_count()

    def _next(self, row: int, character: str) -> int:
        """The row of a suffix that is one character longer."""
        if character not in self._places:
            return row
        bits = self._bits.get(character)
        met = row & (bits if bits is not None else _bits(self._places[character]))
        return ((row + met) | (row - met)) & self._all


def _bits(places: list[int]) -> int:
    if len(places) < _OFTEN:
        return sum(1 << k for k in places)
    data = bytearray(places[-1] // 8 + 1)
    for k in places:
        data[k >> 3] |= 1 << (k & 7)
    return int.from_bytes(data, "little")
