"""The rule of the masks again, in the slowest and plainest way: by decoding every beginning of the token list."""

from __future__ import annotations

import unicodedata
from typing import Any

FENCE = "```python"


def where_tokens_start(tokenizer: Any, ids: list[int]) -> list[str]:
    """For each token the text in front of it. The bytes of one character all stand in front of, or at, that character."""
    return [tokenizer.decode(ids[:i], clean_up_tokenization_spaces=False).rstrip("\ufffd") for i in range(len(ids) + 1)]


def starts_in_lines(tokenizer: Any, ids: list[int], lines: set[int], text: str) -> list[float]:
    """1 for a token whose beginning is on one of the lines; the last place is EOS, which is on none."""
    before = where_tokens_start(tokenizer, ids)
    assert unicodedata.normalize("NFC", before[-1]) == unicodedata.normalize("NFC", text[_lost(before[-1], text) :])
    return [float(front.count("\n") in lines) for front in before[:-1]] + [0.0]


def from_fence(tokenizer: Any, ids: list[int], text: str) -> list[float]:
    """1 from the token that spells the first backtick of the first python fence; everywhere when there is no such fence."""
    if FENCE not in text:
        return [1.0] * (len(ids) + 1)
    after = where_tokens_start(tokenizer, ids)[1:]
    front = text[_lost(after[-1], text) : text.index(FENCE)]
    return [float(len(behind) > len(front)) for behind in after] + [1.0]


def _lost(decoded: str, text: str) -> int:
    """Spaces in front that decoding takes for the tokenizer's own."""
    in_front = [len(t) - len(t.lstrip(" ")) for t in (text, decoded)]
    return in_front[0] - in_front[1]
