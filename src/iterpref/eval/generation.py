"""Answers of a model to prompts that are rendered already, many at a time: greedy, or sampled.

A loop of our own rather than `model.generate`, which goes on computing rows that have ended and copies the whole cache
for each token: here an ended row leaves the batch, and the cache has room to grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from iterpref.errors import UserError
from iterpref.eval.sampling import GREEDY, Draw, Sampling
from iterpref.progress import track

_ROOM = 64  # tokens of cache set aside at once


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    autocast_dtype: torch.dtype | None = None,
    sampling: Sampling = GREEDY,
    streams: Sequence[int] | None = None,
    stops: Sequence[str] = (),
    on_answer: Callable[[int, str, int], None] = lambda i, answer, tokens: None,
    progress: bool = True,
) -> list[str]:
    """`[decode(rollout of prompt) for prompt in prompts]`: the continuations alone, in the order of the prompts.

    A prompt is a text, tokenised as it stands (no special token is added; those written in it count as such), or its
    token ids. An answer ends before the first end token, of the tokenizer or of the model's generation config, or after
    `max_new_tokens` tokens, or soon after one of the `stops` (texts, which stay in the answer). With a temperature, prompt
    i draws from the stream `(sampling.seed, streams[i])` of random numbers: whatever shares its batch, it draws the same.
    `on_answer(i, answer, tokens)` is told each answer once its batch is done, and its tokens (end tokens left out).
    The model computes in eval mode, under autocast if `autocast_dtype` is given; its modules' modes are put back.

    Raises:
        UserError: for an empty prompt, or one that with `max_new_tokens` is longer than the model's context.
    """
    if not prompts:
        return []
    ids = _token_ids(tokenizer, prompts)
    _check_lengths(ids, max_new_tokens, model)
    ends = _end_tokens(model, tokenizer)
    # Neighbours in length share a batch, so that padding is small; the longest come first, so that memory runs out at
    # once or never.
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]), reverse=True)
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    autocast = torch.autocast(model.device.type, autocast_dtype) if autocast_dtype else nullcontext()
    answers = [""] * len(ids)
    with _evaluating(model), torch.inference_mode(), autocast:
        for batch in track(batches, len(batches), "generate") if progress else batches:
            draw = Draw(sampling, [streams[i] if streams else i for i in batch])
            ended = _stop_check(tokenizer, stops)
            rows = roll_out(model, [ids[i] for i in batch], max_new_tokens, ends, draw, ended)
            for i, row in zip(batch, rows, strict=True):
                answers[i] = _decode(tokenizer, row)
                on_answer(i, answers[i], len(row))
    return answers


def _token_ids(tokenizer: Any, prompts: Sequence[str] | Sequence[Sequence[int]]) -> list[list[int]]:
    if texts := [prompt for prompt in prompts if isinstance(prompt, str)]:
        return tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [[int(token) for token in prompt] for prompt in prompts]


def _decode(tokenizer: Any, row: Sequence[int]) -> str:
    return str(tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _stop_check(tokenizer: Any, stops: Sequence[str]) -> Callable[[Sequence[int]], bool] | None:
    """Whether one of the texts has come up among the last tokens of a row; None when there is nothing to look for."""
    if not stops:
        return None
    # A token is at least a byte: a text of n bytes is over n tokens at the most, and one more holds what follows it.
    n_last = max(len(stop.encode()) for stop in stops) + 1

    def ended(row: Sequence[int]) -> bool:
        text = _decode(tokenizer, row[-n_last:])
        return any(stop in text for stop in stops)

    return ended


def roll_out(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    ends: set[int],
    draw: Draw,
    ended: Callable[[Sequence[int]], bool] | None = None,
) -> list[list[int]]:
    """Token ids of one batch of answers, without end tokens; the caller sets eval mode and turns gradients off.

    Args:
        prompts: S lists of token ids, none empty.
        ends: ids at which a row ends.
        draw: chooses each row's next token.
        ended: told a row's tokens so far; a row for which it is true takes no more.
    """
    width = max(map(len, prompts))
    # Padded on the left, so that all rows append at one place. The mask comes from the lengths: the padding id may well
    # be an end token that also stands in the prompts.
    padded = [[0] * (width - len(p)) + list(p) for p in prompts]
    real = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
    tokens_ST = torch.tensor(padded, device=model.device)
    mask_ST = torch.tensor(real, device=model.device)
    positions_ST = (mask_ST.cumsum(dim=1) - 1).clamp(min=0)
    cache = _roomy_cache(model)
    live = list(range(len(prompts)))  # the prompts whose rows are still in the batch
    answers: list[list[int]] = [[] for _ in prompts]
    for _ in range(max_new_tokens):
        logits_SV = model(
            input_ids=tokens_ST, attention_mask=mask_ST, position_ids=positions_ST,
            past_key_values=cache, use_cache=True, logits_to_keep=1,
        ).logits[:, -1]  # fmt: skip
        next_S = draw(logits_SV, live)
        new = next_S.tolist()
        kept = [row for row, token in enumerate(new) if token not in ends]
        for row in kept:
            answers[live[row]].append(new[row])
        if ended is not None:
            kept = [row for row in kept if not ended(answers[live[row]])]
        if not kept:
            break
        if len(kept) < len(live):
            live = [live[row] for row in kept]
            rows = torch.tensor(kept, device=model.device)
            cache.batch_select_indices(rows)
            next_S, mask_ST, positions_ST = next_S[rows], mask_ST[rows], positions_ST[rows]
        tokens_ST = next_S[:, None]
        mask_ST = torch.cat([mask_ST, mask_ST.new_ones(len(live), 1)], dim=1)
        positions_ST = positions_ST[:, -1:] + 1
    return answers


class _RoomyLayer(DynamicLayer):
    """A `DynamicLayer` that sets memory aside for `_ROOM` tokens; the plain one copies itself for each token."""

    _spare = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Appends [S, heads, T, head size] and returns all keys and values so far, as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, new = self.get_seq_length(), key_states.shape[-2]
        if self._spare < new:
            self._buffers = [
                _with_room(held, states, start)
                for held, states in ((self.keys, key_states), (self.values, value_states))
            ]
            self._spare = new + _ROOM
        self._spare -= new
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., start : start + new, :] = states
        self.keys, self.values = (buffer[..., : start + new, :] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)
        self._spare = 0  # the selected rows are a copy, with no room behind it


def _with_room(held: Tensor | None, states: Tensor, length: int) -> Tensor:
    rows, heads, new, size = states.shape
    buffer = states.new_empty(rows, heads, length + new + _ROOM, size)
    if held is not None and length:
        buffer[..., :length, :] = held
    return buffer


def _roomy_cache(model: Any) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    # Other layer kinds (sliding windows, ...) stay what the model's config makes of them.
    cache.layers = [_RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ends = list(ends) if isinstance(ends, (list, tuple)) else [ends]
    return {int(token) for token in [*ends, tokenizer.eos_token_id] if token is not None}


def _check_lengths(ids: Sequence[Sequence[int]], max_new_tokens: int, model: Any) -> None:
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for number, row in enumerate(ids):
        if not row:
            raise UserError(f"prompt {number} has no token; a prompt must hold at least one")
        if context and len(row) + max_new_tokens > context:
            raise UserError(
                f"prompt {number} has {len(row)} tokens, which with {max_new_tokens} new ones is more than the model's "
                f"context of {context}; lower evaluate.max_new_tokens or leave the task out"
            )


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
