"""Spans + tokenizer offsets -> token ids and masks: an `Example`. Each text is tokenised once, and never re-encoded.

A token belongs to a line when it *starts* in it, newline included: with tokens such as "):\\n" or "\\n\\n    " that straddle
lines, this is the rule that reproduces line masks (shared by the paper's public code). Where D- is made of words rather than
lines (`pairs.diff=token_lcs`) a token belongs to it when it holds one of its characters.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from iterpref.config import DataConfig, MaskConfig
from iterpref.data.diff import line_spans, split_lines
from iterpref.data.tokenise import Tokens, check_tokenizer, encode_completions, encode_prompts
from iterpref.errors import UserError
from iterpref.registry import MASKS
from iterpref.schema import Example, PreferencePair, Span

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Marks = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.float32]
Drops = dict[str, list[str]]
FENCE = "```python"


def tokenise_pairs(
    pairs: Sequence[PreferencePair],
    prompts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    mask: MaskConfig,
    limits: DataConfig,
    seed: int = 0,
) -> tuple[list[Example], Drops]:
    """Examples, and the ids of the pairs that were dropped, by reason. `prompts` are rendered, one a pair.

    `seed` matters only to what is drawn: context lines (diff_aug) and the pairs of `full_share`.

    Raises:
        UserError: when the tokenizer has no offsets or no EOS, or its tokens do not give the text back.
    """
    check_tokenizer(tokenizer)
    if not pairs:
        return [], {}
    names = [f"pair {p.pair_id}" for p in pairs]
    # A prompt that ends as it was written went through no template.
    contents = [
        () if text.endswith(p.prompt) and not p.turns else [t.content for t in p.turns] or [p.prompt]
        for p, text in zip(pairs, prompts, strict=True)
    ]
    prompt_ids = encode_prompts(tokenizer, prompts, contents, [f"{name}, prompt" for name in names])
    chosen = encode_completions(tokenizer, [p.chosen for p in pairs], [f"{name}, chosen" for name in names])
    rejected = encode_completions(tokenizer, [p.rejected for p in pairs], [f"{name}, rejected" for name in names])
    examples: list[Example] = []
    drops: Drops = {}
    for i, pair in enumerate(pairs):
        if len(prompt_ids[i]) > limits.max_prompt_tokens:
            made: Example | str = f"prompt_over_{limits.max_prompt_tokens}_tokens"
        else:
            made = make_example(pair, prompt_ids[i], chosen[i], rejected[i], tokenizer.eos_token_id, mask, limits, seed)
        if isinstance(made, str):
            drops.setdefault(made, []).append(pair.pair_id)
        else:
            examples.append(made)
    full = full_pairs(((e.split, e.pair_id) for e in examples), mask.full_share, seed)
    eos = None if mask.eos else tokenizer.eos_token_id
    return [with_full_masks(e, eos) if e.pair_id in full else e for e in examples], drops


def make_example(
    pair: PreferencePair,
    prompt_ids: Sequence[int],
    chosen: Tokens,
    rejected: Tokens,
    eos: int,
    mask: MaskConfig,
    limits: DataConfig,
    seed: int = 0,
) -> Example | str:
    """One pair with a weight for each completion token, EOS last; or the reason why there is none."""
    by_word = pair.diff_algo == "token_lcs"
    focal_plus = focal_tokens(chosen, pair.d_plus_spans, by_word)
    focal_minus = focal_tokens(rejected, pair.d_minus_spans, by_word)
    if pair.d_minus_spans and not focal_minus.any():
        # D- lies inside tokens of the line before it: there is none to blame, and an empty mask would hide that.
        return "d_minus_starts_no_token"
    if mask.chosen == "focal" and pair.d_plus_spans and not focal_plus.any():
        return "d_plus_starts_no_token"
    longest = limits.max_completion_tokens
    if max(len(focal_plus), len(focal_minus)) > longest:
        if limits.overlong == "drop":
            return f"completion_over_{longest}_tokens"
        # The texts were compared whole, so a tail that is cut is no error; but a fault whose end is cut would teach half of it.
        if focal_plus[longest:].any() or focal_minus[longest:].any():
            return f"focal_tokens_over_{longest}_cut"
    context = 0
    if "diff_aug" in (mask.chosen, mask.rejected):
        context = random.Random(f"{seed}/{pair.pair_id}/context").randint(mask.context_min, mask.context_max)
    sides = (
        (mask.chosen, Side(pair.chosen, chosen, focal_plus, pair.d_plus, mask, context)),
        (mask.rejected, Side(pair.rejected, rejected, focal_minus, pair.d_minus, mask, context)),
    )
    weights = [mask_weights(rule, side, pair.pair_id)[:longest] for rule, side in sides]
    return Example(
        pair_id=pair.pair_id,
        split=pair.split,
        prompt_ids=np.array(prompt_ids, np.int32),
        chosen_ids=np.append(chosen.ids, np.int32(eos))[:longest],
        rejected_ids=np.append(rejected.ids, np.int32(eos))[:longest],
        chosen_mask=weights[0],
        rejected_mask=weights[1],
        chosen_focal=focal_plus[:longest],
        rejected_focal=focal_minus[:longest],
    )


@dataclass(frozen=True)
class Side:
    """What a mask rule is told of a completion. `focal` marks the tokens of D, [len(tokens) + 1] with EOS last; `lines` are D's."""

    text: str
    tokens: Tokens
    focal: Marks
    lines: Sequence[int]
    mask: MaskConfig
    context: int = 0  # lines around D, drawn for the pair


def mask_weights(rule: str, side: Side, pair_id: str = "") -> Weights:
    """fp32 weights in [0, 1] of the completion's tokens and its EOS, [len(tokens) + 1], by the rule of that name.

    Raises:
        UserError: when an added rule gives anything else.
    """
    weights = np.asarray(MASKS.get(rule)(side), np.float32)
    if MASKS.is_added(rule) and (weights.shape != side.focal.shape or not ((weights >= 0) & (weights <= 1)).all()):
        raise UserError(
            f"mask rule {rule}, pair {pair_id}: {len(side.focal)} weights in [0, 1] were expected, one a token and one for EOS; "
            f"shape {weights.shape} came, from {weights.min(initial=1):g} to {weights.max(initial=0):g}"
        )
    return weights


@MASKS.register("full")
def _full(side: Side) -> Weights:
    """1, EOS by `mask.eos`."""
    return _with_eos(np.ones(len(side.focal), np.float32), side)


@MASKS.register("fence")
def _fence(side: Side) -> Weights:
    """1 from the token that holds the first python fence on (from the first token without one), EOS by `mask.eos`."""
    weights = np.ones(len(side.focal), np.float32)
    if FENCE in side.text:
        weights[:-1][side.tokens.ends <= side.text.index(FENCE)] = 0
    return _with_eos(weights, side)


@MASKS.register("focal")
def _focal(side: Side) -> Weights:
    """1 in D."""
    return side.focal.astype(np.float32)


@MASKS.register("diff_aug")
def _diff_aug(side: Side) -> Weights:
    """1 in D and in `context` lines on either side of each block of it."""
    lines = widened(side.lines, side.context, len(split_lines(side.text)))
    around = focal_tokens(side.tokens, line_spans(side.text, lines))
    return np.maximum(side.focal, around).astype(np.float32)


@MASKS.register("soft")
def _soft(side: Side) -> Weights:
    """1 in D, `mask.soft_weight` outside, EOS by `mask.eos` unless it is in D."""
    weights = np.where(side.focal, np.float32(1), np.float32(side.mask.soft_weight))
    return weights if side.focal[-1] else _with_eos(weights, side)


def _with_eos(weights: Weights, side: Side) -> Weights:
    if not side.mask.eos:
        weights[-1] = 0
    return weights


def focal_tokens(tokens: Tokens, spans: Sequence[Span], by_word: bool = False) -> Marks:
    """uint8 [len(tokens) + 1], EOS last: 1 for each token that starts in a span, or `by_word` for each that overlaps one.

    An empty span marks a gap: the first token that starts at or after it, and at the end of the text EOS, which came too early.
    """
    marks = np.zeros(len(tokens.ids) + 1, np.uint8)
    for span in spans:
        if span.start == span.end:
            marks[np.searchsorted(tokens.starts, span.start)] = 1
        elif by_word:
            marks[:-1][(tokens.ends > span.start) & (tokens.starts < span.end)] = 1
        else:
            marks[slice(*np.searchsorted(tokens.starts, (span.start, span.end)))] = 1
    return marks


def widened(lines: Sequence[int], by: int, total: int) -> tuple[int, ...]:
    """The given line numbers and their neighbours up to `by` lines away, inside [0, total)."""
    return tuple(sorted({n for line in lines for n in range(max(line - by, 0), min(line + by + 1, total))}))


def full_pairs(pairs: Iterable[tuple[str, str]], share: float, seed: int) -> frozenset[str]:
    """The ids, of (split, pair_id), whose masks become full: of each split the share rounded, in an order drawn by the seed."""
    if share == 0:
        return frozenset()
    splits: dict[str, list[str]] = {}
    for split, pair_id in pairs:
        splits.setdefault(split, []).append(pair_id)
    drawn: list[str] = []
    for ids in splits.values():
        ids.sort(key=lambda pair_id: hashlib.sha256(f"{seed}/{pair_id}/full".encode()).digest())
        drawn += ids[: round(share * len(ids))]
    return frozenset(drawn)


def with_full_masks(example: Example, uncounted: int | None) -> Example:
    """The example as the rule `full` would have it on both sides; `uncounted` is the id of EOS under `mask.eos=false`."""
    chosen, rejected = (np.asarray(ids) != uncounted for ids in (example.chosen_ids, example.rejected_ids))
    return replace(example, chosen_mask=chosen.astype(np.float32), rejected_mask=rejected.astype(np.float32))


def describe_drops(drops: Drops, limit: int = 3) -> str:
    """`"prompt_over_1024_tokens: 3 (first a, b, c)"`, for messages."""
    parts = [f"{reason}: {len(ids)} (first {', '.join(ids[:limit])})" for reason, ids in sorted(drops.items())]
    return "; ".join(parts)
