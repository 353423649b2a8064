"""`evaluate RUN`: what the start model and the trained one solve of a run's held-out tasks, and which side of its pairs they prefer."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from iterpref.artifacts import fingerprint
from iterpref.build import build_limits, build_sandbox
from iterpref.cli import is_overridden, merge_overrides
from iterpref.config import Config, to_dict
from iterpref.config.pairs import HUB_ID
from iterpref.data.datamodule import batch_maker, build_reference, read_examples
from iterpref.data.reference_cache import ReferenceLogps, all_logps, attach
from iterpref.data.stages import load_tasks, prepare
from iterpref.devices import autocast, resolve_device, resolve_precision
from iterpref.errors import UserError, nearest_file
from iterpref.eval.bank import evaluate_bank
from iterpref.eval.calibration import calibration
from iterpref.eval.plots import draw_calibration
from iterpref.eval.preference import pair_spans, preference_row, summarise, token_table
from iterpref.models.policy import load_model, load_tokenizer, prepare_generation, render_prompts, resolve_attention
from iterpref.run_record import RunRecord, read_trained, write_whole
from iterpref.schema import PreferencePair, Problem
from iterpref.strict_json import read_object
from iterpref.tracking import track_evaluation


def evaluate_run(command: Config) -> dict[str, Any]:
    """Writes `{before,after}.json` and `pairs.jsonl` in `evaluation_folder`; data, model and masks are those of the run, the
    pairs as well unless `evaluate.pairs` names others.

    The start model is scored once: `before.json` is re-used while the settings that it depends on stay the same.
    """
    run = Path(command.paths.run)
    trained = read_trained(run)
    if is_overridden("paths.data"):
        trained.paths.data = command.paths.data
    config = merge_overrides(command, trained, ("evaluate", "sandbox", "trainer", "ops"))
    # Another sandbox for the answers must not mean other trajectories, so the data keep the sandbox of the run.
    data = replace(config, sandbox=trained.sandbox)
    held_out = HeldOut(config, data if config.evaluate.pairs is None else with_pairs(data, config.evaluate.pairs))
    folder = evaluation_folder(run, config.evaluate.pairs)
    folder.mkdir(parents=True, exist_ok=True)
    record = RunRecord(run)

    before_file, settings = folder / "before.json", held_out.settings()
    before = read_object(before_file, "delete it, and it is made again") if before_file.is_file() else {}
    if before.get("settings") != settings:
        with record.stage("evaluate_before"):
            before = {"settings": settings, **held_out.score(held_out.prepared.model, "before")}
        write_whole(before_file, json.dumps(before, indent=1) + "\n")
    with record.stage("evaluate_after"):
        after = {"settings": settings, **held_out.score(run / "export", "after")}
    write_whole(folder / "after.json", json.dumps(after, indent=1) + "\n")
    write_whole(folder / "pairs.jsonl", "".join(json.dumps(row) + "\n" for row in held_out.highlighted))
    if "calibration" in after:
        draw_calibration(
            [("before", before["calibration"]), ("after", after["calibration"])], folder / "calibration.svg"
        )
    if config.evaluate.pairs is None:
        track_evaluation(trained, run)
    show(before, after)
    return after


def evaluation_folder(run: Path, pairs: str | None) -> Path:
    """Where the figures of a run are, on its own held-out pairs (None) or on others."""
    if pairs is None:
        return run / "evaluation"
    return run / "evaluation" / f"pairs-{Path(pairs).name}-{fingerprint(pairs)[:8]}"


class HeldOut:
    """Scores model folders on the held-out tasks and pairs of one run: `config` says how, `data` what."""

    def __init__(self, config: Config, data: Config) -> None:
        self.config = config
        self.device = resolve_device(config.trainer)
        self.precision = resolve_precision(config.trainer, self.device)
        self.prepared = prepare(data)
        # The whole sample of the run, so that the reference cache of the training is found again.
        examples = read_examples(data, self.prepared)
        cache = build_reference(data, self.prepared, examples)
        self.examples = [e for e in attach(examples, cache) if e.split == config.evaluate.split]
        self.problems = load_tasks(data)
        self.make_batch = batch_maker(data, self.prepared.model, self.device)
        self.highlighted: list[dict[str, Any]] = []

    def settings(self) -> dict[str, Any]:
        """What a score depends on besides the model."""
        return {
            **asked(self.config, self.problems), "precision": self.precision, "device": self.device.type,
            "pairs": len(self.examples), "tokens": self.prepared.tokens.fingerprint,
        }  # fmt: skip

    def score(self, folder: Path, label: str) -> dict[str, Any]:
        """pass@1 and preference metrics of the model in `folder`."""
        attention = resolve_attention(self.config.model, self.config.data.packing, self.device, folder)
        model = load_model(folder, self.config.model, attention).to(self.device).eval()
        tokenizer = load_tokenizer(folder)
        begin = time.perf_counter()
        measured = self._preference(model, tokenizer, label) if self.examples else {"preference": None}
        seconds = {"preference": round(time.perf_counter() - begin, 1)}
        result: dict[str, Any] = {"pass_at_1": None, "verdicts": {}, "tasks": []}
        if self.config.evaluate.pass_at_1:
            result = self._bank(model, tokenizer)
        result["seconds"] = {**seconds, **result.get("seconds", {})}
        return {"model": str(folder), "split": self.config.evaluate.split, **measured, **result}

    def _bank(self, model: Any, tokenizer: Any) -> dict[str, Any]:
        prepare_generation(model)
        sandbox = build_sandbox(self.config.sandbox, self.config.executor)
        try:
            return evaluate_bank(
                model, tokenizer, lambda prompt: render_prompts(tokenizer, [prompt], self.config.model)[0], self.problems,
                sandbox, build_limits(self.config.sandbox), self.config.evaluate,
                torch.bfloat16 if self.precision == "bf16-mixed" else None,
            )  # fmt: skip
        finally:
            sandbox.close()

    def _preference(self, model: Any, tokenizer: Any, label: str) -> dict[str, Any]:
        normalised = self.config.loss.length_normalised
        if label == "before":
            # The start model is the reference: what the cache holds is what it would compute again.
            logps = [
                ReferenceLogps(
                    e.pair_id,
                    *(() if c is None else tuple(map(float, c)) for c in (e.chosen_ref_logps, e.rejected_ref_logps)),
                )
                for e in self.examples
            ]
        else:
            context = partial(autocast, self.device, self.precision)
            logps = all_logps(
                model, self.examples, self.config.data.micro_batch, shown=f"held-out pairs, {label}",
                make_batch=self.make_batch, backend=self.config.ops, autocast=context,
            )  # fmt: skip
            pairs = {p.pair_id: p for p in self.prepared.pairs.read("pairs", PreferencePair)}
            for example, row in list(zip(self.examples, logps, strict=True))[: self.config.evaluate.highlighted_pairs]:
                pair = pairs[example.pair_id]
                spans = pair_spans(tokenizer, pair)
                self.highlighted.append(token_table(pair, example, row, spans, length_normalised=normalised))
        rows = [
            preference_row(e, row, length_normalised=normalised) for e, row in zip(self.examples, logps, strict=True)
        ]
        trust = calibration([row["margin"] for row in rows], self.config.loss.beta)
        return {"preference": summarise(rows), "calibration": trust}


def asked(config: Config, problems: Sequence[Problem]) -> dict[str, Any]:
    """What the config says of how a model is scored, and the tasks with their tests and limits where they are run."""
    tasks = {
        "problems": fingerprint([p.to_dict() for p in problems]),
        "limits": asdict(build_limits(config.sandbox)),
    } if config.evaluate.pass_at_1 else {}  # fmt: skip
    evaluation = {k: v for k, v in to_dict(config.evaluate).items() if k != "highlighted_pairs"}
    return {
        "evaluate": evaluation, **tasks, "length_normalised": config.loss.length_normalised, "beta": config.loss.beta,
    }  # fmt: skip


def with_pairs(config: Config, path: str) -> Config:
    """The data of a run with other pairs; what finds D- and masks tokens, and the number of pairs, stay the run's.

    Raises `UserError` for a path that is neither there nor a hub id.
    """
    if not Path(path).expanduser().exists() and not HUB_ID.fullmatch(path):
        raise UserError(
            f"evaluate.pairs={path}: there is no such file or folder{nearest_file(Path(path).expanduser())}"
        )
    # One of each split that is not looked at.
    idle: dict[str, Any] = {
        f"max_{split}_pairs": 1 for split in ("train", "validation", "test") if split != config.evaluate.split
    }
    pairs = replace(config.pairs, source="external", path=path)
    return replace(config, pairs=pairs, data=replace(config.data, **idle))


def show(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The before/after table on the terminal."""
    table = Table(title="before and after (95 % intervals)")
    for column in ("", "before", "after"):
        table.add_column(column)
    if before["pass_at_1"] and after["pass_at_1"]:
        cells = [f"{s['n_passed']}/{s['n_tasks']}  {s['rate']:.1%} [{s['low']:.1%}, {s['high']:.1%}]"
                 for s in (before["pass_at_1"], after["pass_at_1"])]  # fmt: skip
        table.add_row("pass@1", *cells)
    for name in (after["preference"] or {}) if before["preference"] else ():
        if name != "n_pairs":
            cells = [
                f"{m['mean']:.3f} [{m['low']:.3f}, {m['high']:.3f}]"
                for m in (before["preference"][name], after["preference"][name])
            ]
            table.add_row(name.replace("_", " "), *cells)
    if before.get("calibration") and after.get("calibration"):
        for name, value in (("calibration error", lambda c: c["ece"]), ("Brier score", lambda c: c["brier"]["mean"])):
            table.add_row(name, *(f"{value(side['calibration']):.3f}" for side in (before, after)))
    Console().print(table)
