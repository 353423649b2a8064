"""Benchmarks answered through CodeFlow's lines: vLLM's engine, as a stand-in that checks what it is asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.test_eval_tasks import humaneval_row, written
from tests.unit.test_local_models import TINY, FakeLLM

from iterpref.config import BenchmarkConfig, Config
from iterpref.config.evaluate import check_evaluation_effects
from iterpref.config.generate import GenerateConfig
from iterpref.errors import UserError
from iterpref.eval.benchmarked import evaluate_one
from iterpref.eval.tasks import load_benchmark


def config_of(tmp_path: Path, name: str) -> Config:
    generate = GenerateConfig(name=name, concurrency=8, batch_rows=4, dtype="float32")
    config = Config(generate=generate, model=TINY, benchmark=BenchmarkConfig("humaneval"))
    config.paths.data = str(tmp_path / "data")
    config.sandbox.allow_unsafe = True
    return config


def test_vllm_answers_a_benchmark_and_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLLM, "made", [])
    fake = SimpleNamespace(LLM=FakeLLM, SamplingParams=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "vllm", fake)  # type: ignore[arg-type]
    tasks = written(tmp_path / "he.jsonl", [humaneval_row(n) for n in range(2)])
    benchmark = load_benchmark(BenchmarkConfig("humaneval", tasks))
    config = config_of(tmp_path, "vllm")
    scores = evaluate_one(config, benchmark, None, tmp_path / "out", "model")
    answers = [json.loads(line) for line in (Path(scores["folder"]) / "answers.jsonl").open()]
    assert all(row["answer"].startswith("answer to ") for row in answers)
    assert sum(len(llm.calls) for llm in FakeLLM.made) == 1
    assert {s.max_tokens for llm in FakeLLM.made for _, sampled, _ in llm.calls for s in sampled} == {512}
    assert scores["generation"]["model"]["server_model"].startswith("tiny@")
    evaluate_one(config, benchmark, None, tmp_path / "out", "model")
    assert sum(len(llm.calls) for llm in FakeLLM.made) == 1


def test_which_options_reach_a_model_that_is_asked_by_lines(tmp_path: Path) -> None:
    check_evaluation_effects(config_of(tmp_path, "vllm"), ["model.path", "generate.gpus"])
    with pytest.raises(UserError, match=r"evaluate\.batch_size has no effect"):
        check_evaluation_effects(config_of(tmp_path, "vllm"), ["evaluate.batch_size"])
    with pytest.raises(UserError, match=r"model\.path has no effect"):
        check_evaluation_effects(config_of(tmp_path, "openai"), ["model.path"])
    with pytest.raises(UserError, match=r"generate=transformers has no effect .*model=pretrained"):
        check_evaluation_effects(config_of(tmp_path, "transformers"), [])
