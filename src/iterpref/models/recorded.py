"""Rows of answers on a GPU: one token of all rows is a CUDA graph, recorded once and replayed.

A small model spends a token's time on its host, which issues some hundred kernels; a graph issues them all at once. So
that it may read the same places each time, keys and values have a fixed place for as many tokens as an answer may have.
A graph looks at the first so many of them, and computes the first so many rows; when more tokens are needed, or half of
the rows have ended, another one goes on. Recording one takes as long as a dozen tokens, so that the places and their
graphs serve one batch after the other. Tokens are read back `BLOCK` at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from iterpref.models.answer_kernels import AnswerKernels
from iterpref.models.decoding import padded
from iterpref.models.sampling import Draw

BLOCK = 16  # tokens of each row between two looks at them
LENGTHS = 128  # a graph sees a multiple of so many tokens
FEW = 64  # rows, of which none is worth being taken out: what a token of them takes hardly depends on their number
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


@dataclass
class _Window:
    """Which part of the fixed places the next pass uses: rows `first` to `last`, and the first `length` tokens."""

    rows: int
    room: int
    at_T: Tensor  # where the pass's own tokens go
    first: int = 0
    last: int = 0
    length: int = 0


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

    def clear(self) -> None:
        """Zeros again: what an earlier batch has left is hidden, but 0 times NaN is not 0."""
        if self.is_initialized:
            for held in self._held:
                held.zero_()

    def move(self, rows: Tensor, length: int) -> None:
        """The given rows become the first ones."""
        for held in self._held:
            held[: len(rows), :, :length] = held[rows, :, :length]


class Places:
    """Room for rows of one model's tokens, and the graphs that read and write it; batches use it one after the other.

    The model's weights must stay where they are as long as it lives.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kernels = AnswerKernels(model)
        self._window: _Window | None = None

    def open(self, rows: int, room: int) -> _Window:
        """Empty room for so many rows of so many tokens: what is there, if it is enough."""
        window = self._window
        if window is None or window.rows < rows or window.room < room:
            self._window = None  # freed before the new room is taken
            window = self._window = self._taken(rows, room)
        for layer in self.layers:
            layer.clear()
        self.bias_ST.fill_(HIDDEN)
        self.tokens_S1.zero_()
        self.positions_S1.zero_()
        window.first, window.last, window.length = 0, min(_rung(rows), window.rows), 0
        return window

    def _taken(self, rows: int, room: int) -> _Window:
        device, dtype = self._model.device, self._model.dtype
        self.layers: list[_FixedLayer] = []
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph | None] = {}  # by rows and length; None: warmed up
        self._logits_SV: Tensor | None = None  # which they write
        self._pool: Any = None
        self.at_T = torch.zeros(1, dtype=torch.long, device=device)
        window = _Window(rows, room, self.at_T)
        self.cache = DynamicCache(config=self._model.config)
        self.layers = [_FixedLayer(window) for _ in self.cache.layers]
        self.cache.layers = list(self.layers)
        # Added to the scores: 0 where a token may look.
        self.bias_ST = torch.empty(rows, room, dtype=dtype, device=device)
        self.tokens_S1 = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.positions_S1 = torch.zeros(rows, 1, dtype=torch.long, device=device)
        return window

    def pass_over(self, tokens_ST: Tensor, bias_S1TT: Tensor, positions_ST: Tensor) -> Tensor:
        """Logits [S, V] of each row's last token."""
        with self._kernels.in_use():
            return self._model(
                input_ids=tokens_ST, attention_mask=bias_S1TT, position_ids=positions_ST,
                past_key_values=self.cache, use_cache=True, logits_to_keep=1,
            ).logits[:, -1]  # fmt: skip

    def next_logits(self) -> Tensor:
        """Those of the window's rows. The first ones of a shape come kernel by kernel, and warm up for the recording."""
        window = self._window
        assert window is not None
        shape = (window.last, window.length)
        if self._model.device.type != "cuda" or shape not in self._graphs:
            self._graphs[shape] = None
            logits_SV = self._pass_over_window(window)
            if self._logits_SV is None:
                self._logits_SV = logits_SV.new_empty(window.rows, logits_SV.shape[-1])
            return logits_SV
        assert self._logits_SV is not None
        graph = self._graphs[shape]
        if graph is None:
            graph = self._graphs[shape] = self._record(window, self._logits_SV[: window.last])
        graph.replay()
        return self._logits_SV[: window.last]

    def _pass_over_window(self, window: _Window) -> Tensor:
        rows = slice(window.last)
        bias_S1TT = self.bias_ST[rows, None, None, : window.length]
        return self.pass_over(self.tokens_S1[rows], bias_S1TT, self.positions_S1[rows])

    def _record(self, window: _Window, logits_SV: Tensor) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            # All write to one place: their own memory is then free for the next one's recording.
            logits_SV.copy_(self._pass_over_window(window))
        self._pool = self._pool or graph.pool()
        return graph


class RecordedRows:
    """`decoding.Rows` at fixed places. Off a GPU the same, kernel by kernel."""

    def __init__(self, places: Places, prompts: Sequence[Sequence[int]], max_new_tokens: int, draw: Draw) -> None:
        self._at, self._draw = places, draw
        rows, width = len(prompts), max(map(len, prompts))
        self._live = list(range(rows))  # the row of each prompt that is still asked for, as `draw` knows it
        self._places = list(range(rows))  # and where it stands
        self._window = places.open(rows, _up(width + max_new_tokens))
        device = places.at_T.device
        self._end = width  # tokens of each row whose keys are there
        self._numbers_BS = torch.zeros(BLOCK, self._window.rows, device=device)
        self._new_BS = torch.zeros(BLOCK, self._window.rows, dtype=torch.long, device=device)
        self._turn = 0  # of the tokens in a block
        places.positions_S1[:rows, 0] = torch.tensor([len(prompt) for prompt in prompts], device=device)
        self._read_prompts(prompts)
        self._first: list[int] | None = places.tokens_S1[:rows, 0].tolist()

    def _read_prompts(self, prompts: Sequence[Sequence[int]]) -> None:
        """Keys and values of the prompts, and each row's first token."""
        at, window, width = self._at, self._window, self._end
        device, last = at.at_T.device, window.last
        window.at_T, window.length = torch.arange(width, device=device), width
        past_TT = torch.ones(width, width, dtype=torch.bool, device=device).tril()
        share = max(1, PROMPT_TOKENS // width)
        numbers_S = self._draw.numbers(self._live, 1)[:, 0].to(device)
        for first in range(0, len(prompts), share):
            window.first, window.last = first, min(first + share, len(prompts))
            here = slice(window.first, window.last)
            tokens_ST, real_ST, positions_ST = padded(prompts[here], device)
            short = width - tokens_ST.shape[1]  # the share's own width may be less
            tokens_ST, real_ST, positions_ST = (
                torch.nn.functional.pad(one, (short, 0)) for one in (tokens_ST, real_ST, positions_ST)
            )
            at.bias_ST[here, :width].masked_fill_(real_ST.bool(), 0)
            bias_S1TT = at.bias_ST[here, None, None, :width].masked_fill(~past_TT, HIDDEN)
            logits_SV = at.pass_over(tokens_ST, bias_S1TT, positions_ST)
            at.tokens_S1[here, 0] = self._draw.choose(logits_SV, numbers_S[here])
        window.first, window.last = 0, last
        window.at_T = at.at_T.fill_(width)
        at.bias_ST[:, width] = 0

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
        at, rows = self._at, slice(self._window.last)
        tokens_S = self._draw.choose(at.next_logits(), self._numbers_BS[self._turn, rows])
        self._new_BS[self._turn, rows] = tokens_S
        at.tokens_S1[rows] = tokens_S[:, None]
        at.positions_S1[rows] += 1
        at.at_T += 1
        at.bias_ST.index_fill_(1, at.at_T, 0)
        self._turn += 1

    def keep(self, rows: Sequence[int]) -> None:
        self._live = [self._live[row] for row in rows]
        self._places = [self._places[row] for row in rows]
        if self._window.last > FEW and len(rows) <= self._window.last // 2:
            self._move_up()
        # Rows that have ended are computed on until the others move up: they then look at nothing, and nothing is read.
        ended = sorted(set(range(self._window.last)).difference(self._places))
        self._at.bias_ST.index_fill_(0, self._index(ended), HIDDEN)

    def _move_up(self) -> None:
        """The rows that are still asked for become the first ones, of a window for as many."""
        at, index = self._at, self._index(self._places)
        for layer in at.layers:
            layer.move(index, self._end)
        for held in (at.bias_ST, at.tokens_S1, at.positions_S1):
            held[: len(index)] = held[index]
        self._places = list(range(len(index)))
        self._window.last = min(_rung(max(len(index), FEW)), self._window.rows)

    def _index(self, places: Sequence[int]) -> Tensor:
        return torch.tensor(places, dtype=torch.long, device=self._at.at_T.device)


def _rung(rows: int) -> int:
    """The next of a few numbers of rows, as each is a graph: powers of two and what lies halfway between them."""
    power = 1 << max(rows - 1, 1).bit_length()
    return power * 3 // 4 if rows <= power * 3 // 4 else power


def _up(length: int) -> int:
    return -(-length // LENGTHS) * LENGTHS
