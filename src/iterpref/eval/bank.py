"""Held-out tasks: a model answers each once, and the task's frozen tests judge the answer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from iterpref.codeflow.sandbox.protocol import Limits, RunRequest, Sandbox
from iterpref.codeflow.suites import as_tests
from iterpref.config import EvaluateConfig
from iterpref.errors import UserError
from iterpref.eval.answers import extract_code
from iterpref.eval.passk import wilson
from iterpref.models.generation import generate
from iterpref.progress import track
from iterpref.schema import Problem, SourceFile, Verdict

if TYPE_CHECKING:
    import torch

MAX_NEW_TOKENS = 256  # longest answer to a held-out task


def evaluate_bank(
    model: Any,
    tokenizer: Any,
    render: Callable[[str], str],
    problems: Sequence[Problem],
    sandbox: Sandbox,
    limits: Limits,
    config: EvaluateConfig,
    autocast_dtype: torch.dtype | None,
) -> dict[str, Any]:
    """`score_bank` of greedy answers to the tasks of `config.split`, with `seconds` and `tokens_generated` added.

    `render` turns a task's prompt into the text that the model reads, chat template included. Raises `UserError` when
    the split holds no task, and as `generate` and `score_bank` do.
    """
    held_out = [p for p in problems if p.split == config.split]
    if not held_out:
        raise UserError(
            f"evaluate.split={config.split}: none of {len(problems)} tasks is of this split; at least one was expected"
        )
    # Tests that an author wrote belong to its own answer, and judge nobody else's.
    chosen = take_spread([p for p in held_out if p.tests.files], config.max_tasks)
    if not chosen:
        raise UserError(
            f"evaluate.split={config.split}: none of its {len(held_out)} tasks brings tests: add evaluate.pass_at_1=false"
        )
    counts: list[int] = []
    start = time.perf_counter()
    answers = generate(
        model,
        tokenizer,
        [render(problem.prompt) for problem in chosen],
        max_new_tokens=config.max_new_tokens or MAX_NEW_TOKENS,
        batch_size=config.batch_size,
        autocast_dtype=autocast_dtype,
        on_answer=lambda i, answer, tokens: counts.append(tokens),
    )
    generated = time.perf_counter()
    result = score_bank(chosen, answers, sandbox, limits)
    result["seconds"] = {"generate": generated - start, "score": time.perf_counter() - generated}
    result["tokens_generated"] = sum(counts)
    return result


def score_bank(problems: Sequence[Problem], answers: Sequence[str], sandbox: Sandbox, limits: Limits) -> dict[str, Any]:
    """Runs the code of each answer as `solution.py` on its task's tests; only the verdict PASS is a pass.

    Returns:
        pass_at_1: `n_tasks`, `n_passed`, `rate` = n_passed / n_tasks, and `low`, `high`: its 95 % Wilson interval.
        verdicts: {verdict: how many}, the most frequent first.
        tasks: in the order of `problems`: `task_id`, `verdict`, `detail`, `n_pass`, `n_fail`, `answer` as it came.

    Raises:
        UserError: when there is no task, or the sandbox itself failed on one: that run has no verdict, and a rate
            without it would be wrong.
    """
    if not problems:
        raise UserError("evaluation: there is no task to score; at least one was expected")
    requests = (
        RunRequest((SourceFile("solution.py", extract_code(answer)),), as_tests(problem.tests), limits)
        for problem, answer in zip(problems, answers, strict=True)
    )
    results = track(sandbox.run_many(requests), len(problems), "run answers")
    tasks: list[dict[str, Any]] = []
    for problem, answer, result in zip(problems, answers, results, strict=True):
        if result.verdict == Verdict.HARNESS_ERROR:
            raise UserError(
                f"evaluation: the sandbox failed on {problem.task_id} ({result.detail}), so its answer has no verdict "
                "and no rate is reported; run the evaluation again, and if that fails check its limits and free memory"
            )
        tasks.append(
            {
                "task_id": problem.task_id,
                "verdict": result.verdict.value,
                "detail": result.detail,
                "n_pass": result.n_pass,
                "n_fail": result.n_fail,
                "answer": answer,
            }
        )
    verdicts = Counter(task["verdict"] for task in tasks)
    n_tasks, n_passed = len(tasks), verdicts[Verdict.PASS.value]
    low, high = wilson(n_passed, n_tasks)
    return {
        "pass_at_1": {"n_tasks": n_tasks, "n_passed": n_passed, "rate": n_passed / n_tasks, "low": low, "high": high},
        "verdicts": dict(verdicts.most_common()),
        "tasks": tasks,
    }


def take_spread(problems: Sequence[Problem], limit: int | None) -> list[Problem]:
    """At most `limit` problems at even distances, so that a few tasks of a sorted bank come from many categories."""
    if limit is None or limit >= len(problems):
        return list(problems)
    return [problems[i * len(problems) // limit] for i in range(limit)]
