"""Texts as sets of hashed n-grams of tokens: what near-duplicates and contamination are measured with."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]
_TOKEN = re.compile(r"\w+|[^\w\s]")


def tokens(text: str) -> list[str]:
    """Words and single signs, lower case: white space and letter case make no difference."""
    return _TOKEN.findall(text.lower())


def ngrams(words: Sequence[str], n: int) -> Hashes:
    """Sorted 64-bit hashes of the n-grams, each once; of a text with fewer than n tokens none."""
    grams = {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}
    return np.sort(
        np.fromiter((xxhash.xxh64_intdigest(g.encode("utf-8", "surrogatepass")) for g in grams), np.uint64, len(grams))
    )


def shingles(text: str, n: int) -> Hashes:
    """`ngrams`, and of a shorter text its tokens as one."""
    words = tokens(text)
    return ngrams(words, min(n, len(words))) if words else np.zeros(0, np.uint64)


def jaccard(first: Hashes, second: Hashes, least: float = 0.0) -> float:
    """|A and B| / |A or B| of two sets; 0 for two empty ones, and where sizes alone tell that it is below `least`."""
    if min(len(first), len(second)) < least * max(len(first), len(second)):
        return 0.0
    both = len(np.intersect1d(first, second, assume_unique=True))
    either = len(first) + len(second) - both
    return both / either if either else 0.0
