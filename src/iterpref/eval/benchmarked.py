"""`evaluate [RUN] benchmark=NAME`: models answer a benchmark and are scored; a run's start and trained model side by side."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from iterpref.artifacts import fingerprint
from iterpref.build import local_models
from iterpref.cli import is_overridden, merge_overrides, overridden_keys
from iterpref.config import Config
from iterpref.config.generate import LOCAL
from iterpref.errors import UserError
from iterpref.eval.answering import Answerer, ChatLines, LocalAnswerer, answer_all
from iterpref.eval.compare import paired
from iterpref.eval.plots import draw_errors, draw_rates
from iterpref.eval.samples import write_samples
from iterpref.eval.scored import score
from iterpref.eval.scores import rate_by_task, read_scores
from iterpref.eval.tables import comparison_sheets, markdown, score_sheets, show, task_table
from iterpref.eval.tasks import load_benchmark
from iterpref.eval.tasks.task import Benchmark


def evaluate_models(command: Config) -> dict[str, Any]:
    """Figures of the model that the command line names, or of a run's start and trained model; kept in `evaluation/`."""
    run = Path(command.paths.run)
    benchmark = load_benchmark(command.benchmark)
    if (run / "config.yaml").is_file():
        return _evaluate_run(command, run, benchmark)
    named = sorted(key for key in overridden_keys() if key.split(".")[0] in ("model", "generate"))
    if not named:
        raise UserError(
            f"benchmark={command.benchmark.name}: of which model? Name a run that is trained (python -m iterpref.evaluate RUN "
            f"benchmark=...), a model (model=pretrained model.path=DIR) or a file of samples (samples=FILE)"
            + (f"; {run} is no run" if is_overridden("paths.run") else "")
        )
    folder = run if is_overridden("paths.run") else Path("runs/evaluate") / _name(command)
    scores = evaluate_one(command, benchmark, _model_folder(command), folder, "model")
    show(score_sheets([(_name(command), scores)]))
    return scores


def _evaluate_run(command: Config, run: Path, benchmark: Benchmark[Any]) -> dict[str, Any]:
    from iterpref.run_record import RunRecord, read_trained, write_whole
    from iterpref.tracking import Table, track_benchmark

    idle = sorted(key for key in overridden_keys() if key.split(".")[0] in ("model", "generate"))
    if idle:
        raise UserError(f"{idle[0]} has no effect on {run}, which has models of its own: leave one of the two out")
    trained = read_trained(run)
    if is_overridden("paths.data"):
        trained.paths.data = command.paths.data
    config = merge_overrides(command, trained, ("sandbox", "trainer"))
    # What is asked, and how, is this command's affair; the run's own settings are for its held-out tasks.
    config.evaluate, config.benchmark = command.evaluate, command.benchmark
    record = RunRecord(run)
    scored = []
    for label, folder in (("before", _model_folder(config)), ("after", run / "export")):
        with record.stage(f"evaluate_{benchmark.name}_{label}"):
            scored.append((label, evaluate_one(config, benchmark, folder, run / "evaluation" / label, label)))
    both = [read_scores(Path(scores["folder"]), "paths.run")[2] for _, scores in scored]
    found = {p: paired(rate_by_task(both[0], p), rate_by_task(both[1], p)) for p in scored[0][1]["parts"]}
    sheets = [*score_sheets(scored), *comparison_sheets(("before", "after"), found)]
    show(sheets)
    stem = run / "evaluation" / f"benchmark-{_benchmark_name(benchmark)}"
    figures = {"benchmark": scored[0][1]["benchmark"], "scores": dict(scored), "after_against_before": found}
    write_whole(stem.with_suffix(".json"), json.dumps(figures, indent=1) + "\n")
    write_whole(stem.with_suffix(".md"), markdown(sheets))
    plots = {"pass": Path(f"{stem}-pass.svg"), "errors": Path(f"{stem}-errors.svg")}
    draw_rates(scored, plots["pass"])
    draw_errors(scored, plots["errors"])
    tables: dict[str, Table] = {sheet.title.partition(",")[0]: (sheet.columns, sheet.rows) for sheet in sheets}
    tables["tasks"] = task_table(scored, both)
    plots = {title: path for title, path in plots.items() if path.is_file()}
    track_benchmark(trained, run, _benchmark_name(benchmark), _means(scored), tables, plots)
    return figures


def _benchmark_name(benchmark: Benchmark[Any]) -> str:
    return f"{benchmark.name}{'-' + benchmark.variant if hasattr(benchmark, 'variant') else ''}"


def _means(scored: list[tuple[str, dict[str, Any]]]) -> dict[str, float]:
    return {
        f"{label}/{part}/{k}": found["mean"]
        for label, scores in scored
        for part, rates in scores["parts"].items()
        for k, found in rates.items()
    }


def evaluate_one(
    config: Config, benchmark: Benchmark[Any], model: Path | None, parent: Path, label: str
) -> dict[str, Any]:
    """Answers, samples and scores of one model, in a folder of `parent` named by all that they depend on."""
    e = config.evaluate
    chat = model is None or config.model.prompt_format == "chat"
    length = e.max_new_tokens or benchmark.max_new_tokens
    answerer = _local(config, model) if model is not None else _lines(config)
    settings = {
        **benchmark.settings(), "tasks": list(benchmark.tasks), "chat": chat, "n_samples": e.n_samples,
        "max_new_tokens": length, "variant": getattr(benchmark, "variant", None), "model": answerer.settings(),
    }  # fmt: skip
    folder = parent / f"{benchmark.name}-{fingerprint(settings)[:8]}"
    start = time.perf_counter()
    samples, counts = answer_all(benchmark, answerer, folder, n_samples=e.n_samples, chat=chat, max_new_tokens=length)
    about = {
        "label": label, "model": str(model or _name(config)), "folder": str(folder), "generation": settings,
        "tokens": counts, "seconds_generate": round(time.perf_counter() - start, 2),
    }  # fmt: skip
    write_samples(folder / "samples.jsonl", samples, benchmark)
    return score(config, benchmark, samples, folder, about)


def _local(config: Config, folder: Path) -> Answerer:
    import torch

    from iterpref.devices import resolve_device, resolve_precision
    from iterpref.models.policy import load_model, load_tokenizer
    from iterpref.models.sampling import Sampling

    device = resolve_device(config.trainer)
    precision = resolve_precision(config.trainer, device)
    # Weights that are only read are better kept in bf16, as the harnesses do, than cast again for every token.
    dtype = {"bf16-mixed": torch.bfloat16}.get(precision)
    model = load_model(folder, config.model).to(device, dtype).eval()
    sampling = Sampling(config.evaluate.temperature, config.evaluate.top_p, config.seed)
    return LocalAnswerer(folder, model, load_tokenizer(folder), sampling, config.evaluate.batch_size)


def _lines(config: Config) -> Answerer:
    """A model that CodeFlow's chat protocol reaches: a server's, or one of vLLM's offline engine."""
    from iterpref.codeflow.generate.limits import Stop
    from iterpref.codeflow.generate.setup import CachedLines

    g, e, local = config.generate, config.evaluate, local_models(config)
    model = local.of(g).name if g.name in LOCAL else str(g.model)
    return ChatLines(
        lambda: CachedLines(g, Path(config.paths.data), Stop(), f"evaluate {model}", local),
        {"server_model": model, "base_url": g.base_url}, e.temperature, e.top_p, config.seed,
    )  # fmt: skip


def _model_folder(config: Config) -> Path | None:
    """The folder of a model that runs by transformers; None for one that CodeFlow's lines reach."""
    if config.generate.name != "mutate":
        return None
    from iterpref.models.source import resolve_model

    return resolve_model(config.model, Path(config.paths.data), config.seed)


def _name(config: Config) -> str:
    if config.generate.name != "mutate" and config.generate.model:
        return config.generate.model.replace("/", "--")
    return Path(str(config.model.path)).name if config.model.path else config.model.name
