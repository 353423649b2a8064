"""A model answers a benchmark: every answer is kept as it comes, so that a killed evaluation generates nothing twice."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from iterpref.errors import UserError
from iterpref.eval.ledger import Ledger
from iterpref.eval.samples import Sample
from iterpref.eval.tasks.task import Benchmark, Messages

OnAnswer = Callable[["Question", str, int], None]  # question, answer, its tokens


@dataclass(frozen=True)
class Question:
    """One answer that is wanted: a chat with how the answer begins, or for a base model a text to go on from."""

    task_id: str
    i: int  # which of the task's samples
    messages: Messages | None
    text: str  # the prompt of a base model, or how the answer is made to begin

    @property
    def stream(self) -> int:
        """Names the random numbers of this sample, the same on every machine."""
        return int.from_bytes(hashlib.sha256(f"{self.task_id}#{self.i}".encode()).digest()[:8], "big")


class Answerer(Protocol):
    """A model, however it is reached."""

    def settings(self) -> dict[str, Any]:
        """What answers depend on besides the questions."""

    def answer(self, questions: Sequence[Question], stops: Sequence[str], max_new_tokens: int, told: OnAnswer) -> None:
        """Tells every answer, in any order. A chat's answer includes how it was made to begin, if it was."""


def questions(benchmark: Benchmark[Any], n_samples: int, chat: bool) -> Iterator[Question]:
    for task in benchmark.tasks.values():
        messages, text = benchmark.chat(task) if chat else (None, benchmark.base_prompt(task))
        yield from (Question(task.task_id, i, messages, text) for i in range(n_samples))


def answer_all(
    benchmark: Benchmark[Any], answerer: Answerer, folder: Path, *, n_samples: int, chat: bool, max_new_tokens: int
) -> tuple[list[Sample], dict[str, int]]:
    """The samples of all tasks, and `{"tokens", "new_tokens", "new"}`: of all answers, and of those that were not there yet.

    Answers are kept in `folder/answers.jsonl`; `folder` belongs to these settings and this model.
    """
    wanted = list(questions(benchmark, n_samples, chat))
    stops = benchmark.chat_stops if chat else benchmark.stops
    with Ledger(folder / "answers.jsonl") as ledger:
        known = {(row["task_id"], row["i"]): row for row in ledger.rows()}
        missing = [question for question in wanted if (question.task_id, question.i) not in known]

        def told(question: Question, answer: str, tokens: int) -> None:
            row = {"task_id": question.task_id, "i": question.i, "answer": answer, "tokens": tokens}
            known[question.task_id, question.i] = row
            ledger.add(row)

        if missing:
            answerer.answer(missing, stops, max_new_tokens, told)
    rows = [known[question.task_id, question.i] for question in wanted]
    samples = [
        Sample(row["task_id"], benchmark.solution(benchmark.tasks[row["task_id"]], row["answer"], chat)) for row in rows
    ]
    new = [known[question.task_id, question.i]["tokens"] for question in missing]
    return samples, {"tokens": sum(row["tokens"] for row in rows), "new_tokens": sum(new), "new": len(new)}


class LocalAnswerer:
    """A folder's model, by transformers, on this machine."""

    def __init__(self, folder: Path, model: Any, tokenizer: Any, sampling: Any, batch_size: int | None) -> None:
        self._folder, self._model, self._tokenizer = folder, model, tokenizer
        self._sampling, self._batch_size = sampling, batch_size

    def settings(self) -> dict[str, Any]:
        from iterpref.models.source import tokenizer_key, weights_key

        arithmetic = [str(self._model.dtype), self._model.device.type]
        return {
            "weights": weights_key(self._folder), "tokenizer": tokenizer_key(self._folder), "arithmetic": arithmetic,
            "sampling": vars(self._sampling),
        }  # fmt: skip

    def answer(self, questions: Sequence[Question], stops: Sequence[str], max_new_tokens: int, told: OnAnswer) -> None:
        from iterpref.models.generation import generate

        def on_answer(i: int, answer: str, tokens: int) -> None:
            begun = questions[i].text if questions[i].messages is not None else ""
            told(questions[i], begun + answer, tokens)

        generate(
            self._model,
            self._tokenizer,
            [render(self._tokenizer, question) for question in questions],
            max_new_tokens=max_new_tokens,
            batch_size=self._batch_size,
            sampling=self._sampling,
            streams=[question.stream for question in questions],
            stops=stops,
            on_answer=on_answer,
        )


def render(tokenizer: Any, question: Question) -> str:
    """The text that the model goes on from; raises `UserError` for a chat with a tokenizer that has no template."""
    if question.messages is None:
        # As the tokenizer itself would begin a text; in a chat the template does so.
        ids = tokenizer("a")["input_ids"]
        begins = tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]
        return f"{tokenizer.bos_token}{question.text}" if begins else question.text
    if not getattr(tokenizer, "chat_template", None):
        raise UserError("this tokenizer has no chat template: set model.prompt_format=plain, as for a base model")
    text = tokenizer.apply_chat_template(question.messages, tokenize=False, add_generation_prompt=True)
    return f"{text}{question.text}"


class ChatLines:
    """A model behind CodeFlow's chat protocol: any OpenAI-compatible server, or vLLM here. Its answers begin as it likes."""

    def __init__(
        self, open_lines: Callable[[], Any], about: dict[str, Any], temperature: float, top_p: float, seed: int
    ) -> None:
        self._open_lines, self._about = open_lines, about
        self._temperature, self._top_p, self._seed = temperature, top_p, seed

    def settings(self) -> dict[str, Any]:
        return {**self._about, "temperature": self._temperature, "top_p": self._top_p, "seed": self._seed}

    def answer(self, questions: Sequence[Question], stops: Sequence[str], max_new_tokens: int, told: OnAnswer) -> None:
        asyncio.run(self._answer(questions, max_new_tokens, told))

    async def _answer(self, questions: Sequence[Question], max_new_tokens: int, told: OnAnswer) -> None:
        from iterpref.codeflow.generate.chat import ChatParams, Message
        from iterpref.progress import track

        lines = self._open_lines()

        async def ask(question: Question) -> tuple[Question, Any]:
            assert question.messages is not None
            seed = None if self._temperature == 0 else (self._seed + question.i)
            params = ChatParams(self._temperature, self._top_p, max_new_tokens, seed)
            messages = [Message(m["role"], m["content"]) for m in question.messages]
            return question, await lines.of("solver").complete(messages, params, question.i)

        tasks = [asyncio.ensure_future(ask(question)) for question in questions]
        try:
            for future in track(asyncio.as_completed(tasks), len(tasks), "generate"):
                question, completion = await future
                told(question, completion.text, completion.tokens_out)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await lines.close()
