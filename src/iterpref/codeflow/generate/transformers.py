"""A model on the local device, by transformers: one left-padded batch at a time, through the house's own generation loop."""

from __future__ import annotations

import gc
from collections.abc import Hashable, Sequence
from typing import Any

from iterpref.codeflow.generate.batching import Generated, OutOfMemory, Request, Tell
from iterpref.codeflow.generate.chat import ChatParams, Message
from iterpref.codeflow.generate.local import LocalModel


class TransformersEngine:
    """`batching.Engine` over `models.generation.generate`. Weights are read with the first batch: a run that finds all of its
    answers in the cache reads none.

    Requests with equal parameters share a batch. Each draws from random numbers of its own.
    """

    def __init__(self, local: LocalModel, device: Any) -> None:
        self.model = local.name
        self._local, self._device = local, device
        self._loaded: Any = None
        self._places: Any = None  # what its batches share, on a GPU

    def encode(self, messages: Sequence[Message], params: ChatParams) -> tuple[int, ...]:
        return self._local.encode(messages, params.max_tokens)

    def kind(self, params: ChatParams) -> Hashable:
        return (params.temperature, params.top_p, params.max_tokens, params.stop)

    def answer(self, batch: Sequence[Request], tell: Tell) -> None:
        import torch

        failure = ""
        try:
            self._generate(batch, tell)
            return
        except (torch.OutOfMemoryError, MemoryError) as error:
            failure = str(error)
        except RuntimeError as error:
            # The CPU's allocator has no exception of its own.
            if "alloc" not in str(error) or "memory" not in str(error):
                raise
            failure = str(error)
        # Out here the traceback is gone, and with it what the batch had taken.
        self._collect()
        raise OutOfMemory(" ".join(failure.split())[:200])

    def _generate(self, batch: Sequence[Request], tell: Tell) -> None:
        from iterpref.models.generation import generate
        from iterpref.models.recorded import Places
        from iterpref.models.sampling import Sampling

        params, model = batch[0].params, self._load()
        self._places = self._places or Places(model)
        generate(
            model, self._local.tokenizer, [request.ids for request in batch],
            max_new_tokens=params.max_tokens, batch_size=len(batch), sampling=Sampling(params.temperature, params.top_p),
            streams=[request.stream for request in batch], stops=params.stop, progress=False, places=self._places,
            on_answer=lambda i, text, tokens: tell(i, _generated(text, tokens, params)),
        )  # fmt: skip

    def _load(self) -> Any:
        if self._loaded is None:
            from iterpref.models.policy import load_model, resolve_attention

            attention = resolve_attention(self._local.config, "none", self._device, self._local.folder)
            self._loaded = load_model(self._local.folder, self._local.config, attention).to(self._device).eval()
        return self._loaded

    def _collect(self) -> None:
        import torch

        self._places = None
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded = None
            self._collect()


def _generated(text: str, tokens: int, params: ChatParams) -> Generated:
    """As a server has it: a stop text is no part of the answer, and an answer that saw no end was cut."""
    ends = [at for stop in params.stop if (at := text.find(stop)) >= 0]
    if ends:
        return Generated(text[: min(ends)], tokens, "stop")
    return Generated(text, tokens, "length" if tokens == params.max_tokens else "stop")
