"""`evaluate samples=FILE benchmark=...` and `evaluate FOLDER against=FOLDER`: figures without a model."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from iterpref.build import build_sandbox
from iterpref.cli import is_overridden
from iterpref.config import Config
from iterpref.errors import UserError
from iterpref.eval.compare import paired
from iterpref.eval.plots import draw_errors, draw_rates
from iterpref.eval.samples import Sample, read_samples
from iterpref.eval.scores import rate_by_task, read_scores, results, summarise, write_scores
from iterpref.eval.scoring import folder_for, judge_samples
from iterpref.eval.tables import comparison_sheets, markdown, score_sheets, show
from iterpref.eval.tasks import load_benchmark
from iterpref.eval.tasks.task import Benchmark

log = logging.getLogger(__name__)


def score_file(config: Config) -> dict[str, Any]:
    """Scores somebody's samples; returns `summarise`'s figures, and keeps all in a folder beside the file or in `paths.run`."""
    path = Path(str(config.samples))
    benchmark = load_benchmark(config.benchmark)
    samples = read_samples(path, benchmark, config.benchmark.partial)
    beside = path.with_name(f"{path.name.removesuffix('.gz').rpartition('.')[0] or path.name}.scores")
    folder = folder_for(benchmark, Path(config.paths.run) if is_overridden("paths.run") else beside)
    scores = score(config, benchmark, samples, folder, {"samples": str(path)})
    sheets = score_sheets([(path.name, scores)])
    show(sheets)
    log.info("%s", folder)
    return scores


def score(
    config: Config, benchmark: Benchmark[Any], samples: list[Sample], folder: Path, about: dict[str, Any]
) -> dict[str, Any]:
    """Verdicts, figures, tables and plots of these samples in `folder`."""
    sandbox = build_sandbox(config.sandbox, config.executor)
    start = time.perf_counter()
    try:
        judged = judge_samples(benchmark, samples, sandbox, folder, Path(config.paths.data))
    finally:
        sandbox.close()
    scores = {
        **about,
        **summarise(benchmark, samples, judged),
        "seconds": round(time.perf_counter() - start, 2),
        "sandbox": {"tier": sandbox.tier, "workers": sandbox.workers},
    }
    sheets = score_sheets([(str(about.get("label", "samples")), scores)])
    write_scores(folder, scores, results(benchmark, judged), markdown(sheets))
    draw_rates([(str(about.get("label", "samples")), scores)], folder / "pass.svg")
    draw_errors([(str(about.get("label", "samples")), scores)], folder / "errors.svg")
    return scores


def compare_folders(config: Config) -> dict[str, Any]:
    """`paths.run` against `against`, task by task; the table is kept in the first one's folder."""
    folder, scores, rows = read_scores(Path(config.paths.run), "paths.run")
    other, other_scores, other_rows = read_scores(Path(str(config.against)), "against")
    if folder.resolve() == other.resolve():
        raise UserError(
            f"against={config.against} is the folder of scores {folder} itself: name the scores of another model"
        )
    if scores["settings"] != other_scores["settings"]:
        raise UserError(
            f"{folder} and {other} cannot be compared: they were scored on {scores['settings']} and {other_scores['settings']}; "
            "score both with the same benchmark file and options"
        )
    found = {part: paired(rate_by_task(other_rows, part), rate_by_task(rows, part)) for part in scores["parts"]}
    sheets = comparison_sheets((str(other), str(folder)), found)
    show(sheets)
    name = f"against-{other.parent.name}-{other.name}"
    (folder / f"{name}.json").write_text(json.dumps({"against": str(other), "parts": found}, indent=1) + "\n")
    (folder / f"{name}.md").write_text(markdown(sheets), encoding="utf-8")
    return found
