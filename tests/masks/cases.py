"""What the tests of masks share: a pair from two texts, its example, and the text of the tokens that count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from iterpref.config import DataConfig, MaskConfig
from iterpref.data.diff import localise
from iterpref.data.masking import tokenise_pairs
from iterpref.data.tokenise import encode_completions
from iterpref.schema import Example, PreferencePair

PAPER = MaskConfig("full", "focal")
OFFICIAL = MaskConfig("fence", "focal")


def made_pair(
    rejected: str, chosen: str, algorithm: str = "lcs", empty: str = "literal", **fields: Any
) -> PreferencePair:
    """As the pairs stage makes it, without its filters."""
    found = localise(rejected, chosen, algorithm)
    pair = PreferencePair(
        "t#0", "t", "train", "", "Do it.", chosen, rejected, 1, 0, "", found.d_minus, found.d_plus, found.blamed(empty),
        found.d_plus_spans, algorithm, empty, False,
    )  # fmt: skip
    return replace(pair, **fields)


def example_of(
    tokenizer: Any, pair: PreferencePair, mask: MaskConfig = PAPER, prompt: str | None = None, **limits: Any
) -> Example:
    examples, drops = tokenise_pairs(
        [pair], [pair.prompt if prompt is None else prompt], tokenizer, mask, replace(DataConfig(), **limits)
    )
    assert not drops, drops
    return examples[0]


def dropped(tokenizer: Any, pair: PreferencePair, mask: MaskConfig = PAPER, **limits: Any) -> dict[str, list[str]]:
    examples, drops = tokenise_pairs([pair], [pair.prompt], tokenizer, mask, replace(DataConfig(), **limits))
    assert not examples
    return drops


def counted(tokenizer: Any, text: str, weights: Any) -> str:
    """The characters of the tokens with weight, in order."""
    (tokens,) = encode_completions(tokenizer, [text], ["text"])
    shown = np.zeros(len(text), bool)
    for start, end, weight in zip(tokens.starts, tokens.ends, np.asarray(weights)[:-1], strict=True):
        shown[start:end] |= weight > 0
    return "".join(c for c, is_shown in zip(text, shown, strict=True) if is_shown)
