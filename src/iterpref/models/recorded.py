"""Rows of answers on a GPU: one token of all rows is a CUDA graph, recorded once and replayed.

A small model spends a token's time on its host, which issues some hundred kernels; a graph issues them all at once. So
that it may read the same places each time, keys and values have a fixed place for as many tokens as an answer may have.
A graph looks at the first so many of them, and computes the first so many rows; when more tokens are needed, or half of
the rows have ended, another one is recorded. Tokens are read back `BLOCK` at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from iterpref.models.decoding import padded
from iterpref.models.sampling import Draw

BLOCK = 16  # tokens of each row between two looks at them
LENGTHS = 128  # a graph sees a multiple of so many tokens
FEW = 8  # rows, of which none is worth being taken out
PROMPT_TOKENS = 1 << 16  # of a pass over prompts
HIDDEN = -65504.0  # added to a score that does not count: the least number of fp16, and finite in every format


def is_recordable(model: Any) -> bool:
    """Whether all layers attend to all of the past (no windows, no states), and the model is on one GPU. Not under
    autocast: what it keeps of the weights would be read by graphs when it is gone."""
    alone = model.device.type == "cuda" and not hasattr(model, "hf_device_map")
    return alone and not torch.is_autocast_enabled("cuda") and attends_to_all(model)


def attends_to_all(model: Any) -> bool:
    layers = DynamicCache(config=model.config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


class _Window:
    """Which part of the fixed places the next pass uses: rows `first` to `last`, and the first `length` tokens."""

    def __init__(self, rows: int, room: int, device: torch.device) -> None:
        self.rows, self.room = rows, room
        self.first, self.last, self.length = 0, rows, 0
        self.at_T = torch.zeros(1, dtype=torch.long, device=device)  # where the pass's own tokens go


class _FixedLayer(DynamicLayer):
    """Keys and values at places that never move, [rows, heads, room, head size]."""

    def __init__(self, window: _Window) -> None:
        super().__init__()
        self._window = window

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        window = self._window
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            # Zeros: what a mask hides is multiplied by 0, and 0 times what memory happens to hold may be NaN.
            self._held = [
                states.new_zeros(window.rows, states.shape[1], window.room, states.shape[3])
                for states in (key_states, value_states)
            ]
        for held, states in zip(self._held, (key_states, value_states), strict=True):
            held[window.first : window.last].index_copy_(2, window.at_T, states)
        keys, values = (held[window.first : window.last, :, : window.length] for held in self._held)
        return keys, values

    def move(self, rows: Tensor, length: int) -> None:
        """The given rows become the first ones."""
        for held in self._held:
            held[: len(rows), :, :length] = held[rows, :, :length]


class RecordedRows:
    """`decoding.Rows` at fixed places. Off a GPU the same, kernel by kernel."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int, draw: Draw) -> None:
        self._model, self._draw = model, draw
        device, rows, width = model.device, len(prompts), max(map(len, prompts))
        self._live = list(range(rows))  # the row of each prompt that is still asked for, as `draw` knows it
        self._places = list(range(rows))  # and where it stands
        self._window = _Window(rows, _up(width + max_new_tokens), device)
        self._cache = DynamicCache(config=model.config)
        self._layers = [_FixedLayer(self._window) for _ in self._cache.layers]
        self._cache.layers = list(self._layers)
        self._end = width  # tokens of each row whose keys are there
        # Added to the scores: 0 where a token may look.
        self._bias_ST = torch.full((rows, self._window.room), HIDDEN, dtype=model.dtype, device=device)
        self._tokens_S1 = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self._positions_S1 = torch.tensor([[len(prompt)] for prompt in prompts], device=device)
        self._numbers_BS = torch.zeros(BLOCK, rows, device=device)
        self._new_BS = torch.zeros(BLOCK, rows, dtype=torch.long, device=device)
        self._turn = 0  # of the tokens in a block
        self._shape: tuple[int, int] | None = None  # rows and length of the last pass
        self._graph: torch.cuda.CUDAGraph | None = None  # of that shape
        self._logits_SV: Tensor | None = None  # which it writes
        self._read_prompts(prompts)
        self._first: list[int] | None = self._tokens_S1[:, 0].tolist()

    def _read_prompts(self, prompts: Sequence[Sequence[int]]) -> None:
        """Keys and values of the prompts, and each row's first token."""
        window, width = self._window, self._end
        window.at_T = torch.arange(width, device=self._model.device)
        window.length = width
        past_TT = torch.ones(width, width, dtype=torch.bool, device=self._model.device).tril()
        share = max(1, PROMPT_TOKENS // width)
        numbers_S = self._draw.numbers(self._live, 1)[:, 0].to(self._model.device)
        for first in range(0, len(prompts), share):
            window.first, window.last = first, min(first + share, len(prompts))
            here = slice(window.first, window.last)
            tokens_ST, real_ST, positions_ST = padded(prompts[here], self._model.device)
            short = width - tokens_ST.shape[1]  # the share's own width may be less
            tokens_ST, real_ST, positions_ST = (
                torch.nn.functional.pad(one, (short, 0)) for one in (tokens_ST, real_ST, positions_ST)
            )
            self._bias_ST[here, :width].masked_fill_(real_ST.bool(), 0)
            bias_S1TT = self._bias_ST[here, None, None, :width].masked_fill(~past_TT, HIDDEN)
            logits_SV = self._pass(tokens_ST, bias_S1TT, positions_ST)
            self._tokens_S1[here, 0] = self._draw.choose(logits_SV, numbers_S[here])
        window.first, window.last = 0, len(prompts)
        window.at_T = torch.full((1,), width, device=self._model.device)
        self._bias_ST[:, width] = 0

    def _pass(self, tokens_ST: Tensor, bias_S1TT: Tensor, positions_ST: Tensor) -> Tensor:
        return self._model(
            input_ids=tokens_ST, attention_mask=bias_S1TT, position_ids=positions_ST,
            past_key_values=self._cache, use_cache=True, logits_to_keep=1,
        ).logits[:, -1]  # fmt: skip

    def next(self, limit: int) -> list[list[int]]:
        if self._first is not None:
            first, self._first = self._first, None
            return [[token] for token in first]
        n, window = min(limit, BLOCK), self._window
        window.length = min(_up(self._end + n), window.room)
        self._numbers_BS[:n, self._places] = self._draw.numbers(self._live, n).T.to(self._numbers_BS.device)
        self._turn = 0
        for _ in range(n):
            self._step()
        self._end += n
        new_SB = self._new_BS[:n].T.tolist()
        return [new_SB[place] for place in self._places]

    def _step(self) -> None:
        """One token of all rows; what a graph reads is written in place."""
        rows, window = slice(self._window.last), self._window
        logits_SV = self._replayed()
        tokens_S = self._draw.choose(logits_SV, self._numbers_BS[self._turn, rows])
        self._new_BS[self._turn, rows] = tokens_S
        self._tokens_S1[rows] = tokens_S[:, None]
        self._positions_S1[rows] += 1
        window.at_T += 1
        self._bias_ST.index_fill_(1, window.at_T, 0)
        self._turn += 1

    def _replayed(self) -> Tensor:
        """Logits of the next token. The first ones of a shape come kernel by kernel, and warm up for the recording."""
        shape = (self._window.last, self._window.length)
        if shape != self._shape:
            self._shape, self._graph, self._logits_SV = shape, None, None
            return self._next_logits()
        if self._model.device.type != "cuda":
            return self._next_logits()
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._logits_SV = self._next_logits()
        self._graph.replay()
        assert self._logits_SV is not None
        return self._logits_SV

    def _next_logits(self) -> Tensor:
        rows = slice(self._window.last)
        bias_S1TT = self._bias_ST[rows, None, None, : self._window.length]
        return self._pass(self._tokens_S1[rows], bias_S1TT, self._positions_S1[rows])

    def keep(self, rows: Sequence[int]) -> None:
        self._live = [self._live[row] for row in rows]
        self._places = [self._places[row] for row in rows]
        if len(rows) > max(FEW, self._window.last // 2):
            return  # rows that have ended are computed on: moving the others would cost more
        index = torch.tensor(self._places, device=self._model.device)
        for layer in self._layers:
            layer.move(index, self._end)
        for held in (self._bias_ST, self._tokens_S1, self._positions_S1):
            held[: len(rows)] = held[index]
        self._places = list(range(len(rows)))
        self._window.last = len(rows)


def _up(length: int) -> int:
    return -(-length // LENGTHS) * LENGTHS
