"""Spans + tokenizer offsets -> token ids and focal masks: an `Example`. Each text is tokenised once, and never re-encoded.

A token belongs to a line when it *starts* in it, newline included: with tokens such as "):\\n" or "\\n\\n    " that straddle
lines, this is the rule that reproduces line masks (shared by the paper's public code).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from iterpref.config import DataConfig, MaskConfig
from iterpref.errors import UserError
from iterpref.schema import Example, PreferencePair, Span

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Offsets = Sequence[tuple[int, int]]
FENCE = "```python"


def tokenise_pairs(
    pairs: Sequence[PreferencePair],
    prompts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    mask: MaskConfig,
    limits: DataConfig,
) -> tuple[list[Example], dict[str, list[str]]]:
    """Examples, and the ids of the pairs that were dropped, by reason. `prompts` are rendered, one a pair.

    Raises:
        UserError: when the tokenizer has no offsets or no EOS, or its offsets do not give the text back.
    """
    if not tokenizer.is_fast:
        raise UserError(
            "this tokenizer gives no character offsets (it is not a fast one): focal masks need them; use a fast tokenizer"
        )
    if tokenizer.eos_token_id is None:
        raise UserError(
            "this tokenizer has no eos_token: set one in its tokenizer_config.json, a completion must be able to end"
        )
    examples: list[Example] = []
    drops: dict[str, list[str]] = {}
    prompt_ids, _ = _encode(tokenizer, prompts)
    chosen_ids, chosen_offsets = _encode(tokenizer, [p.chosen for p in pairs])
    rejected_ids, rejected_offsets = _encode(tokenizer, [p.rejected for p in pairs])
    for i, pair in enumerate(pairs):
        for text, offsets in ((pair.chosen, chosen_offsets[i]), (pair.rejected, rejected_offsets[i])):
            check_offsets(text, offsets, f"tokenizer {tokenizer.name_or_path}, pair {pair.pair_id}")
        longest = max(len(chosen_ids[i]), len(rejected_ids[i])) + 1
        reason = None
        if len(prompt_ids[i]) > limits.max_prompt_tokens:
            reason = f"prompt_over_{limits.max_prompt_tokens}_tokens"
        elif longest > limits.max_completion_tokens:
            reason = f"completion_over_{limits.max_completion_tokens}_tokens"
        elif pair.d_minus and not any(focal_tokens(rejected_offsets[i], pair.d_minus_spans)):
            # D- lies inside tokens of the line before it: there is none to blame, and an empty mask would hide that.
            reason = "d_minus_starts_no_token"
        if reason:
            drops.setdefault(reason, []).append(pair.pair_id)
            continue
        examples.append(
            make_example(
                pair, prompt_ids[i], (chosen_ids[i], chosen_offsets[i]), (rejected_ids[i], rejected_offsets[i]),
                tokenizer.eos_token_id, mask,
            )
        )  # fmt: skip
    return examples, drops


def make_example(
    pair: PreferencePair,
    prompt_ids: Sequence[int],
    chosen: tuple[Sequence[int], Offsets],
    rejected: tuple[Sequence[int], Offsets],
    eos: int,
    mask: MaskConfig,
) -> Example:
    """One tokenised pair: each completion ends with EOS, and each mask has one weight for each of its tokens."""
    focal_plus = focal_tokens(chosen[1], pair.d_plus_spans)
    focal_minus = focal_tokens(rejected[1], pair.d_minus_spans)
    return Example(
        pair_id=pair.pair_id,
        split=pair.split,
        prompt_ids=tuple(prompt_ids),
        chosen_ids=(*chosen[0], eos),
        rejected_ids=(*rejected[0], eos),
        chosen_mask=mask_weights(mask.chosen, pair.chosen, chosen[1], focal_plus, mask.eos),
        rejected_mask=mask_weights(mask.rejected, pair.rejected, rejected[1], focal_minus, mask.eos),
        chosen_focal=(*focal_plus, 0),
        rejected_focal=(*focal_minus, 0),
    )


def mask_weights(rule: str, text: str, offsets: Offsets, focal: Sequence[int], eos: bool) -> tuple[float, ...]:
    """Weights in [0, 1] for the completion's tokens and its EOS: `full`, from the first python `fence` on, or `focal`."""
    if rule == "focal":
        return (*map(float, focal), 0.0)
    start = max(text.find(FENCE), 0) if rule == "fence" else 0
    return (*(float(begin >= start) for begin, _ in offsets), float(eos))


def focal_tokens(offsets: Offsets, spans: Sequence[Span]) -> list[int]:
    """1 for each token that starts in one of the spans. An empty span marks a gap: the first token at or after it."""
    starts = [begin for begin, _ in offsets]
    marks = [0] * len(starts)
    for span in spans:
        first = bisect_left(starts, span.start)
        last = first + 1 if span.start == span.end else bisect_left(starts, span.end)
        for i in range(first, min(last, len(marks))):
            marks[i] = 1
    return marks


def check_offsets(text: str, offsets: Offsets, who: str) -> None:
    """Raises `UserError` unless the offsets are in order and cover every character of `text`."""
    start = end = 0
    for begin, stop in offsets:
        if not start <= begin <= min(end, stop):
            jump = f"from character {start} to {begin}" if begin < start else f"over characters {end} to {begin}"
            raise UserError(f"{who}: token offsets jump {jump}: they do not give the text back")
        start, end = begin, max(end, stop)
    if end != len(text):
        raise UserError(f"{who}: token offsets cover {end} of {len(text)} characters: they do not give the text back")


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> tuple[list[list[int]], list[Offsets]]:
    # No BOS and no template here: a special token in front would shift every mask by one.
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False)
    return encoded["input_ids"], encoded["offset_mapping"]


def describe_drops(drops: dict[str, list[str]], limit: int = 3) -> str:
    """`"prompt_over_1024_tokens: 3 (first a, b, c)"`, for messages."""
    parts = [f"{reason}: {len(ids)} (first {', '.join(ids[:limit])})" for reason, ids in sorted(drops.items())]
    return "; ".join(parts)
