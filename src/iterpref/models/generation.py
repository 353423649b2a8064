"""Answers of a model to prompts that are rendered already, many at a time: greedy, or sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from iterpref.errors import UserError
from iterpref.models.decoding import Stops, decode, roll_out
from iterpref.models.recorded import Places
from iterpref.models.sampling import GREEDY, Draw, Sampling
from iterpref.progress import track

_ROWS = 32  # answered at once on a CPU
_MOST_ROWS = 2048  # and on a GPU, whose memory may hold fewer
_SHARE = 0.6  # of the GPU's free memory is for a batch
_SCORES = 5  # fp32 numbers for each entry of the vocabulary, where a row's next token is drawn
_MOST_PADDED = 2  # times the tokens of its rows is what a batch may hold


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int | None = None,
    autocast_dtype: torch.dtype | None = None,
    sampling: Sampling = GREEDY,
    streams: Sequence[int] | None = None,
    stops: Sequence[str] = (),
    on_answer: Callable[[int, str, int], None] = lambda i, answer, tokens: None,
    progress: bool = True,
    places: Places | None = None,
) -> list[str]:
    """`[decode(rollout of prompt) for prompt in prompts]`: the continuations alone, in the order of the prompts.

    A prompt is a text, tokenised as it stands (no special token is added; those written in it count as such), or its
    token ids. An answer ends before the first end token, of the tokenizer or of the model's generation config, or after
    `max_new_tokens` tokens, or soon after one of the `stops` (texts, which stay in the answer). With a temperature, prompt
    i draws from the stream `(sampling.seed, streams[i])` of random numbers: whatever shares its batch, it draws the same.
    `batch_size` None: `rows_at_once`. `on_answer(i, answer, tokens)` is told each answer as it ends, and its tokens (end tokens left out).
    `places` keeps what the batches of several calls share; without it, those of this call do.
    The model computes in eval mode, under autocast if `autocast_dtype` is given; its modules' modes are put back.

    Raises:
        UserError: for an empty prompt, or one that with `max_new_tokens` is longer than the model's context.
    """
    if not prompts:
        return []
    ids = _token_ids(tokenizer, prompts)
    _check_lengths(ids, max_new_tokens, model)
    ends = _end_tokens(model, tokenizer)
    batches = batches_by_length(
        [len(row) + max_new_tokens for row in ids], lambda longest: batch_size or rows_at_once(model, longest)
    )
    autocast = torch.autocast(model.device.type, autocast_dtype) if autocast_dtype else nullcontext()
    answers = [""] * len(ids)
    found, shared = Stops(tokenizer, stops), places or Places(model)

    def ended() -> Iterator[tuple[int, list[int]]]:
        for batch in batches:
            draw = Draw(sampling, [streams[i] if streams else i for i in batch])
            for place, row in roll_out(model, [ids[i] for i in batch], max_new_tokens, ends, draw, found, shared):
                yield batch[place], row

    with _evaluating(model), torch.inference_mode(), autocast:
        for i, row in track(ended(), len(ids), "generate") if progress else ended():
            answers[i] = decode(tokenizer, row)
            on_answer(i, answers[i], len(row))
    return answers


def batches_by_length(sizes: Sequence[int], most_rows: Callable[[int], int]) -> list[list[int]]:
    """Rows as batches: neighbours in length share one, as many as `most_rows(tokens of the longest)` and none that would pad
    a batch to over `_MOST_PADDED` times its tokens: one prompt of thousands is not worth thousands of tokens in every row.

    The longest come first, so that memory runs out at once or never.
    """
    batches: list[list[int]] = []
    room = tokens = 0
    for i in sorted(range(len(sizes)), key=lambda i: sizes[i], reverse=True):
        longest = sizes[batches[-1][0]] if batches else 0
        if not room or longest * (len(batches[-1]) + 1) > _MOST_PADDED * (tokens + sizes[i]):
            batches.append([])
            room, tokens = most_rows(sizes[i]), 0
        batches[-1].append(i)
        room, tokens = room - 1, tokens + sizes[i]
    return batches


def _token_ids(tokenizer: Any, prompts: Sequence[str] | Sequence[Sequence[int]]) -> list[list[int]]:
    if texts := [prompt for prompt in prompts if isinstance(prompt, str)]:
        return tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [[int(token) for token in prompt] for prompt in prompts]


def rows_at_once(model: Any, tokens: int) -> int:
    """How many rows of so many tokens each a batch may have: on a GPU as many as its free memory holds keys, values and scores of."""
    if model.device.type != "cuda":
        return _ROWS
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    of_a_row = (
        2 * config.num_hidden_layers * heads * size * tokens * model.dtype.itemsize + 4 * _SCORES * config.vocab_size
    )
    kept = torch.cuda.memory_reserved(model.device) - torch.cuda.memory_allocated(model.device)
    free = torch.cuda.mem_get_info(model.device)[0] + kept
    return max(1, min(_MOST_ROWS, int(_SHARE * free / of_a_row)))


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
