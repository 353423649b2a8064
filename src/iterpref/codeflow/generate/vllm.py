"""A model on the local GPUs, by vLLM's offline engine, which schedules and caches the rows of a batch itself."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from iterpref.checksums import check_weights
from iterpref.codeflow.generate.batching import Generated, Request, Tell
from iterpref.codeflow.generate.chat import ChatParams, Message
from iterpref.codeflow.generate.local import LocalModel
from iterpref.errors import UserError

_SEEDS = 2**31


class VllmEngine:
    """`batching.Engine` over `vllm.LLM`. The prompts are the tokens that generate=transformers would see.

    Args:
        gpu_share: of each GPU's memory, for weights and cache.
        gpus: that the weights are spread over.

    Raises `UserError` without vLLM. Requests of any parameters share a batch.
    """

    def __init__(self, local: LocalModel, gpu_share: float, gpus: int) -> None:
        try:
            import vllm
        except ImportError as error:
            raise UserError(
                f'generate=vllm needs vLLM ({error}); run: pip install "iterpref[vllm]" on a machine with a GPU, or use '
                "generate=transformers, or a server with generate=openai"
            ) from None
        self.model = local.name
        self._vllm, self._local, self._gpu_share, self._gpus = vllm, local, gpu_share, gpus
        self._llm: Any = None

    def encode(self, messages: Sequence[Message], params: ChatParams) -> tuple[int, ...]:
        return self._local.encode(messages, params.max_tokens)

    def kind(self, params: ChatParams) -> Hashable:
        return None

    def answer(self, batch: Sequence[Request], tell: Tell) -> None:
        prompts = [{"prompt_token_ids": list(request.ids)} for request in batch]
        outputs = self._load().generate(prompts, [self._sampling(request) for request in batch], use_tqdm=False)
        for i, output in enumerate(outputs):
            tell(i, _generated(output.outputs[0]))

    def _sampling(self, request: Request) -> Any:
        params = request.params
        drawn = {"seed": request.stream % _SEEDS} if params.temperature > 0 else {}
        return self._vllm.SamplingParams(
            temperature=params.temperature, top_p=params.top_p, max_tokens=params.max_tokens, stop=list(params.stop), **drawn
        )  # fmt: skip

    def _load(self) -> Any:
        if self._llm is None:
            check_weights(self._local.folder)
            self._llm = self._vllm.LLM(
                model=str(self._local.folder), dtype=self._local.config.dtype, seed=0, tensor_parallel_size=self._gpus,
                gpu_memory_utilization=self._gpu_share, max_model_len=self._local.context,
            )  # fmt: skip
        return self._llm

    def close(self) -> None:
        self._llm = None


def _generated(output: Any) -> Generated:
    return Generated(str(output.text), len(output.token_ids), str(output.finish_reason or "stop"))
