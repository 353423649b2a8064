"""A run's policy as a Hugging Face folder: weights, tokenizer and its chat template, generation config, card."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from iterpref.config import Config, ModelConfig
from iterpref.errors import UserError
from iterpref.hub import Repository
from iterpref.models.adapters import add_adapters, load_trained, merged, trained_only
from iterpref.models.card import has_card_of_ours, model_card
from iterpref.models.policy import load_model, load_tokenizer
from iterpref.models.quiet import quiet_transformers
from iterpref.models.saving import save_model
from iterpref.models.source import hub_id, resolve_model


def rebuilt(start: Path, config: ModelConfig, weights: Mapping[str, Tensor]) -> Any:
    """The policy on the CPU: the start model with the trained tensors in it.

    Adapters trained over 4-bit weights are put on the weights that these were made of, in bf16.
    """
    dtype = "bfloat16" if config.quantization != "none" else config.dtype
    whole = replace(config, quantization="none", dtype=dtype, gradient_checkpointing=False)
    model = add_adapters(load_model(start, whole), whole)
    load_trained(model, trained_only(model, weights))
    return model


def export(model: Any, source: Path, folder: Path, card: str | None = None) -> Path:
    """Writes the model with the tokenizer of `source` beside `folder`, and renames it into place when complete."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with quiet_transformers():
            save_model(model, partial)
            load_tokenizer(source).save_pretrained(partial)
        if card is not None:
            (partial / "README.md").write_text(card, encoding="utf-8")
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)  # a half that fills a full disk
        raise
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder


def export_run(
    config: Config,
    run: Path,
    start: Path,
    weights: Mapping[str, Tensor],
    folder: Path,
    *,
    merge: bool = True,
    **told: Any,
) -> Path:
    """The folder of a policy given by its trained tensors; adapters are merged unless `merge=False`."""
    model = rebuilt(start, config.model, weights)
    if not merge and (hub := hub_id(config.model)):  # else peft names the folder that it was fetched to, here
        for adapter in model.peft_config.values():
            adapter.base_model_name_or_path, adapter.revision = hub, config.model.revision
    return export(merged(model) if merge else model, start, folder, model_card(config, run, start, **told))


def convert(command: Config) -> Path:
    """`iterpref.convert`: exports a checkpoint of the run, and uploads the folder where `convert.push` says so."""
    from iterpref.checkpoints import checkpoint_step, policy_weights, recover
    from iterpref.run_record import read_config

    run, said = Path(command.paths.run), command.convert
    config = read_config(run)
    checkpoint = recover(run / "checkpoints" / f"{said.checkpoint}.ckpt")
    if checkpoint is None:
        raise UserError(
            f"{run} has no checkpoint '{said.checkpoint}': train it first, or choose convert.checkpoint=last or best"
        )
    if not said.merge and not config.model.lora.rank:
        raise UserError(f"convert.merge=false has no effect on {run}, which trained without adapters: leave it out")
    name = "export" if said.checkpoint == "last" else f"export-{said.checkpoint}"
    folder = Path(said.path).expanduser() if said.path else run / (name if said.merge else f"{name}-adapter")
    _check_place(folder)
    repository = Repository("convert.push", said.push, "model", said.private) if said.push is not None else None
    if repository is not None:
        repository.check()  # a conversion takes minutes
    start = resolve_model(config.model, Path(config.paths.data), config.seed)
    step = checkpoint_step(checkpoint)
    export_run(config, run, start, policy_weights(checkpoint), folder, step=step, merge=said.merge)
    print(f"step {step} of {run} in {folder}")
    if repository is not None:
        print(repository.upload(folder, f"Step {step} of a run by IterPref"))
    return folder


def _check_place(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not has_card_of_ours(folder))):
        raise UserError(
            f"convert.path={folder} holds something else than a model that was exported here: choose another folder"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
