"""One batch of answers, token by token, until each has ended.

A loop of our own rather than `model.generate`, which goes on computing rows that have ended and copies the whole cache
for each token: here an ended row leaves the batch. Two kinds of batch do the computing: `GrowingRows`, for any model and
device, and `recorded.RecordedRows`, which replays a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from iterpref.models.sampling import Draw

if TYPE_CHECKING:
    from iterpref.models.recorded import Places

_ROOM = 64  # tokens of cache set aside at once


class Rows(Protocol):
    """Prompts that are being answered, a row each."""

    def next(self, limit: int) -> list[list[int]]:
        """The next tokens of each row, the same number for all: at least one, at most `limit`."""

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these rows alone, given by their places among the present ones, in order."""


class Stops:
    """Texts that end an answer once one of them stands in it."""

    def __init__(self, tokenizer: Any, texts: Sequence[str] = ()) -> None:
        self._tokenizer, self._texts = tokenizer, texts
        # A token is at least a byte: a text of n bytes is over n tokens at the most, and one more holds what follows it.
        self._reach = max((len(text.encode()) for text in texts), default=0) + 1

    def end(self, row: Sequence[int], new: int) -> int | None:
        """How many tokens the row has when the first stop that its last `new` tokens bring is complete; None without one."""
        if not self._texts or not self._stands_in(row[-(self._reach + new) :]):
            return None
        ends = range(len(row) - new + 1, len(row) + 1)
        return next((end for end in ends if self._stands_in(row[max(0, end - self._reach) : end])), None)

    def _stands_in(self, tokens: Sequence[int]) -> bool:
        text = decode(self._tokenizer, tokens)
        return any(stop in text for stop in self._texts)


def decode(tokenizer: Any, row: Sequence[int]) -> str:
    return str(tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def roll_out(
    model: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int, ends: set[int], draw: Draw, stops: Stops,
    places: Places | None = None,
) -> Iterator[tuple[int, list[int]]]:  # fmt: skip
    """(i, token ids of the answer to prompt i without end tokens), each as it ends; the caller sets eval mode and turns
    gradients off.

    Args:
        prompts: S lists of token ids, none empty.
        ends: ids at which a row ends.
        draw: chooses each row's next token.
        places: of an earlier batch of this model, for `RecordedRows`.
    """
    rows = _rows(model, prompts, max_new_tokens, draw, places)
    live: dict[int, list[int]] = {i: [] for i in range(len(prompts))}  # answers whose rows are in the batch, in order
    left = max_new_tokens
    while live and left > 0:
        new = rows.next(left)
        left -= len(new[0])
        kept = []
        for row, i in enumerate(list(live)):
            if _goes_on(live[i], new[row], ends, stops):
                kept.append(row)
            else:
                yield i, live.pop(i)
        if kept and len(kept) < len(new):
            rows.keep(kept)
    yield from live.items()


def _rows(model: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int, draw: Draw, places: Places | None) -> Rows:
    from iterpref.models.recorded import Places, RecordedRows, is_recordable

    if is_recordable(model):
        return RecordedRows(places or Places(model), prompts, max_new_tokens, draw)
    return GrowingRows(model, prompts, draw)


def _goes_on(answer: list[int], new: Sequence[int], ends: set[int], stops: Stops) -> bool:
    """Adds the tokens to the answer up to where it ends; whether it has not."""
    end = next((place for place, token in enumerate(new) if token in ends), None)
    answer += new[:end]
    cut = stops.end(answer, len(new) if end is None else end)
    if cut is not None:
        del answer[cut:]
    return end is None and cut is None


def padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(token ids, 1 where a prompt is, positions), [S, T] each: padded on the left, so that all rows append at one place."""
    width = max(map(len, prompts))
    # The mask comes from the lengths: the padding id may well be an end token that also stands in the prompts.
    tokens = [[0] * (width - len(p)) + list(p) for p in prompts]
    real = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
    real_ST = torch.tensor(real, device=device)
    return torch.tensor(tokens, device=device), real_ST, (real_ST.cumsum(dim=1) - 1).clamp(min=0)


class GrowingRows:
    """Rows whose cache grows as they do; one token a call."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], draw: Draw) -> None:
        self._model, self._draw = model, draw
        self._tokens_ST, self._mask_ST, self._positions_ST = padded(prompts, model.device)
        self._cache = _roomy_cache(model)
        self._live = list(range(len(prompts)))

    def next(self, limit: int) -> list[list[int]]:
        logits_SV = self._model(
            input_ids=self._tokens_ST, attention_mask=self._mask_ST, position_ids=self._positions_ST,
            past_key_values=self._cache, use_cache=True, logits_to_keep=1,
        ).logits[:, -1]  # fmt: skip
        numbers_S = self._draw.numbers(self._live, 1)[:, 0].to(logits_SV.device)
        self._tokens_ST = self._draw.choose(logits_SV, numbers_S)[:, None]
        self._mask_ST = torch.cat([self._mask_ST, self._mask_ST.new_ones(len(self._live), 1)], dim=1)
        self._positions_ST = self._positions_ST[:, -1:] + 1
        return self._tokens_ST.tolist()

    def keep(self, rows: Sequence[int]) -> None:
        self._live = [self._live[row] for row in rows]
        index = torch.tensor(rows, device=self._model.device)
        self._cache.batch_select_indices(index)
        self._tokens_ST, self._mask_ST = self._tokens_ST[index], self._mask_ST[index]
        self._positions_ST = self._positions_ST[index]


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
