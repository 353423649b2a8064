"""Rules between fields: a combination that cannot mean anything stops here, naming the override to change."""

from __future__ import annotations

from collections.abc import Collection

from iterpref.config.codeflow_rules import asks_local_model, codeflow_rules, idle_codeflow
from iterpref.config.evaluate import benchmark_rules, check_evaluation_effects
from iterpref.config.pairs import PairsConfig
from iterpref.config.root import Config
from iterpref.config.sweep import idle_sweep
from iterpref.config.training import replays, sharded, world_size, zero_stage
from iterpref.errors import UserError


def check_rules(config: Config) -> None:
    """Raises `UserError` for the first combination that has no meaning. Cheap: no import of torch, no disk."""
    c = config
    rules = [
        *codeflow_rules(c),
        *_device_rules(c),
        (c.sandbox.name == "bwrap" and c.sandbox.tier != "auto",
         f"sandbox.tier={c.sandbox.tier} has no effect with sandbox=bwrap: drop it, or use sandbox=embedded"),
        (c.pairs.source == "external" and not c.pairs.path,
         "pairs.source=external needs data: add pairs.path=PATH, or say pairs=PATH"),
        (c.pairs.source != "external" and c.pairs.path is not None,
         f"pairs.path has no effect with pairs.source={c.pairs.source}: say pairs={c.pairs.path}"),
        (len({c.pairs.columns.prompt, c.pairs.columns.chosen, c.pairs.columns.rejected}) < 3,
         f"pairs.columns.prompt={c.pairs.columns.prompt}, chosen={c.pairs.columns.chosen} and rejected={c.pairs.columns.rejected} "
         "name one column twice: a pair needs three"),
        (c.pairs.columns.system in (c.pairs.columns.prompt, c.pairs.columns.chosen, c.pairs.columns.rejected) and c.pairs.columns.system is not None,
         f"pairs.columns.system={c.pairs.columns.system} is the column of another text of the pair: leave it out where turns hold the system's own"),
        (c.pairs.source == "external" and c.pairs.validation_share + c.pairs.test_share >= 1,
         f"pairs.validation_share={c.pairs.validation_share} and pairs.test_share={c.pairs.test_share} leave nothing to train on: lower them"),
        (c.model.source == "pretrained" and not c.model.path,
         "model.source=pretrained needs a folder or a hub id: add model.path=NAME"),
        (c.model.source != "pretrained" and c.model.path is not None,
         f"model.path has no effect with model.source={c.model.source}: use model=pretrained model.path=NAME"),
        (c.model.source != "pretrained" and c.model.revision is not None,
         f"model.revision has no effect with model.source={c.model.source}: use model=pretrained"),
        (c.model.source == "tiny" and c.model.hidden % 16 != 0,
         f"model.hidden={c.model.hidden} is no multiple of 16, the width of the tiny model's heads: choose 16, 32, 48, ..."),
        (c.mask.context_min > c.mask.context_max,
         f"mask.context_min={c.mask.context_min} is above mask.context_max={c.mask.context_max}: lower the first or raise the second"),
        (c.loss.preference == 0 and c.loss.alpha == 0,
         "loss.preference=0 with loss.alpha=0 leaves no loss: raise one of them"),
        (c.loss.label_smoothing >= 0.5,
         f"loss.label_smoothing={c.loss.label_smoothing}: labels that are wrong half of the time teach nothing; choose a value below 0.5"),
        (c.loss.label_smoothing > 0 and c.loss.link != "sigmoid",
         f"loss.label_smoothing={c.loss.label_smoothing} has no effect with loss.link={c.loss.link}: "
         "use loss.link=sigmoid, or leave it out"),
        (replays(c.trainer) and c.data.packing != "shared",
         f"trainer.compile={c.trainer.compile} needs rows of few lengths, which data.packing={c.data.packing} does not give: set data.packing=shared"),
        (max(c.optim.beta1, c.optim.beta2) >= 1,
         f"optim.beta1={c.optim.beta1} and optim.beta2={c.optim.beta2}: an average that never moves; choose values below 1"),
        (c.optim.rounding == "stochastic" and c.model.dtype != "bfloat16",
         f"optim.rounding=stochastic has no effect with model.dtype={c.model.dtype}: set model.dtype=bfloat16 trainer.precision=bf16-true, or leave it out"),
        (c.trainer.precision == "bf16-true" and c.model.dtype != "bfloat16",
         f"trainer.precision=bf16-true trains bf16 weights, but model.dtype={c.model.dtype}: set model.dtype=bfloat16, "
         "or trainer.precision=bf16-mixed to keep fp32 master weights"),
        (c.trainer.precision != "bf16-true" and c.model.dtype != "float32" and not c.model.lora.rank,
         f"model.dtype={c.model.dtype} would make low-precision master weights under trainer.precision={c.trainer.precision}: "
         "set model.dtype=float32, or trainer.precision=bf16-true with model.dtype=bfloat16"),
        *_adapter_rules(c),
    ]  # fmt: skip
    for broken, message in [*rules, *benchmark_rules(config)]:
        if broken:
            raise UserError(message)


def _device_rules(c: Config) -> list[tuple[bool, str]]:
    t, d = c.trainer, c.data
    world = world_size(t)
    by_nodes = (" * trainer.nodes", f" * {t.nodes}") if t.nodes > 1 else ("", "")
    return [
        (t.accelerator == "cpu" and t.devices > 1 and t.strategy == "auto",
         f"trainer.devices={t.devices} on the CPU would train copies of one model on the same cores: set trainer.devices=1, "
         "or trainer.strategy=ddp to try all the same"),
        (d.global_batch % (d.micro_batch * world) != 0,
         f"data.global_batch={d.global_batch} is not a multiple of data.micro_batch * trainer.devices{by_nodes[0]} = "
         f"{d.micro_batch} * {t.devices}{by_nodes[1]}: change data.micro_batch or data.global_batch"),
        (replays(t) and t.strategy == "fsdp2",
         f"trainer.compile={t.compile} records passes of a whole model, and trainer.strategy=fsdp2 gathers its shards in each: "
         "set trainer.compile=layers, or trainer.strategy=ddp"),
        (t.strategy != "auto" and world == 1,
         f"trainer.strategy={t.strategy} has no effect on one device: set trainer.devices=2, or leave it out"),
        (world > 1 and c.sweep.pruner != "none",
         f"sweep.pruner={c.sweep.pruner} would stop one of {world} processes of a run: set sweep.pruner=none, or trainer.devices=1"),
        (sharded(t) and c.model.quantization != "none",
         f"trainer.strategy={t.strategy} has no shards of model.quantization={c.model.quantization} weights: set trainer.strategy=ddp"),
        (sharded(t) and c.optim.rounding == "stochastic",
         f"optim.rounding=stochastic needs whole parameters, and trainer.strategy={t.strategy} has shards: "
         "set optim.rounding=nearest, or trainer.strategy=ddp"),
        (zero_stage(t) > 0 and t.compile != "none",
         f"trainer.compile={t.compile} would compile DeepSpeed's hooks with the layers: set trainer.compile=none, or trainer.strategy=fsdp2"),
        (zero_stage(t) > 0 and t.check_finite,
         f"trainer.check_finite=true sees no gradients under trainer.strategy={t.strategy}, which keeps them in shards of its own: "
         "set trainer.strategy=ddp"),
    ]  # fmt: skip


def _adapter_rules(c: Config) -> list[tuple[bool, str]]:
    lora, model = c.model.lora, c.model
    return [
        (c.reference == "adapter" and not lora.rank,
         "reference=adapter is the policy with its adapters off, and there are none: set model.lora.rank=16, or reference=cached"),
        (model.quantization != "none" and not lora.rank,
         f"model.quantization={model.quantization} is for weights that stay as they are: set model.lora.rank=16, or model.quantization=none"),
        (lora.rank > 0 and c.trainer.precision == "bf16-true",
         "trainer.precision=bf16-true rounds weights that train, and adapters are fp32: set trainer.precision=bf16-mixed, with model.dtype=bfloat16 for the frozen weights"),
        (lora.rank > 0 and c.optim.rounding == "stochastic",
         "optim.rounding=stochastic has no effect on adapters, which are fp32: leave it out"),
        (model.quantization != "none" and c.reference == "live",
         f"reference=live would keep the {model.quantization} weights twice: set reference=adapter or reference=cached"),
    ]  # fmt: skip


def check_effects(
    config: Config, overridden: Collection[str], command: str = "train", preset: str | None = None
) -> None:
    """Raises `UserError` for a key of `overridden` that this config leaves without effect. Presets may set such values, a person may not.

    `preset` says who set the keys, where it was not the person: a preset whose whole point would have no effect.
    Kept apart from `check_rules`, which sees values alone: only the command line tells a choice from a preset's default.
    """
    loss, mask = config.loss, config.mask
    rules = {mask.chosen, mask.rejected}
    idle = [
        (loss.alpha == 0, ("loss.nll", "loss.nll_side"), "loss.alpha=0: add loss.alpha=1"),
        (loss.preference == 0, ("loss.link", "loss.beta", "loss.label_smoothing", "loss.length_normalised"),
         "loss.preference=0: add loss.preference=1"),
        (loss.link != "sigmoid", ("loss.label_smoothing",), f"loss.link={loss.link}: use loss.link=sigmoid"),
        ("diff_aug" not in rules, ("mask.context_min", "mask.context_max"), "masks other than diff_aug: add mask=diff_aug"),
        ("soft" not in rules, ("mask.soft_weight",), "masks other than soft: add mask=soft"),
        (rules == {"full"}, ("mask.full_share",), "masks that are full anyway: add mask=paper"),
        (rules <= {"focal", "diff_aug"} and mask.full_share == 0, ("mask.eos",),
         "masks that never count the end-of-sequence token: add mask.chosen=full"),
        (config.model.lora.rank == 0, ("model.lora.alpha", "model.lora.targets"), "model.lora.rank=0: add model.lora.rank=16"),
        (config.data.max_train_pairs is None and config.data.max_validation_pairs is None and config.data.max_test_pairs is None,
         ("data.sample_seed",), "all pairs used: add data.max_train_pairs=N"),
        (config.convert.push is None, ("convert.private",), "convert.push=null: add convert.push=OWNER/NAME"),
        *_idle_pairs(config.pairs, command),
        (command == "export" and not asks_local_model(config), ("model",),
         f"generate={config.generate.name}, as pairs need no tokenizer: add generate=transformers"),
        (config.export.push_to_hub is None, ("export.private",), "export.push_to_hub=null: add export.push_to_hub=OWNER/NAME"),
        *idle_codeflow(config),
        *idle_sweep(config.sweep),
    ]  # fmt: skip
    for silent, options, reason in idle:
        for key in sorted(overridden) if silent else ():
            if any(key == option or key.startswith(option + ".") for option in options):
                said = f"{preset} sets {key}, which" if preset else key
                raise UserError(f"{said} has no effect with {reason}, or leave {preset or key} out")
    if command == "evaluate":
        check_evaluation_effects(config, overridden)


_EXTERNAL_ONLY = (
    "pairs.subset", "pairs.revision", "pairs.columns", "pairs.splits", "pairs.validation_share", "pairs.test_share", "pairs.bad_rows",
)  # fmt: skip


def _idle_pairs(pairs: PairsConfig, command: str) -> list[tuple[bool, tuple[str, ...], str]]:
    return [
        (pairs.source == "external", ("pairs.negative", "pairs.by", "pairs.per_task", "debug", "generate"), f"pairs={pairs.path}, which brings pairs of its own: use pairs=paper"),
        (pairs.source == "external" and command == "export", ("seed",), f"pairs={pairs.path}: nothing is drawn"),
        (pairs.source == "external" and command in ("prepare", "export"), ("sandbox", "executor"), f"pairs={pairs.path}: nothing is run; give it to train, for the evaluation"),
        (pairs.source == "external" and command in ("prepare", "export") and "heldout" not in pairs.contamination, ("problems",),
         f"pairs={pairs.path}: no task is read; give it to train, for the evaluation"),
        (pairs.source != "external", _EXTERNAL_ONLY, "pairs out of debugging histories: it is for pairs=PATH"),
        (pairs.near_duplicate is None, ("pairs.near_duplicate_by",), "pairs.near_duplicate=null: add pairs.near_duplicate=0.8"),
        (not pairs.contamination, ("pairs.contamination_ngram", "pairs.contamination_share"), "pairs.contamination=[]: add pairs.contamination=[humaneval]"),
        (not pairs.drop_comment_only and not pairs.drop_ast_equal, ("pairs.docstrings",),
         "both rules switched off that it is for: add pairs.drop_ast_equal=true"),
    ]  # fmt: skip
