"""python -m iterpref.train: prepare what is missing, train, export. A killed run goes on from its last checkpoint."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iterpref.cli import is_overridden, run_command, run_task
from iterpref.config import Config
from iterpref.errors import UserError
from iterpref.rerun import rerun, rerun_argument

if TYPE_CHECKING:
    import lightning

    from iterpref.run_record import RunRecord

log = logging.getLogger(__name__)


def train(config: Config) -> float | None:
    """One run in `config.paths.run`; returns `sweep.metric` of the last validation, or None without validation pairs.

    A run that is finished with the same configuration is not repeated: its stored metric comes back.
    """
    if config.plan:
        from iterpref.memory import print_plan

        print_plan(config)
        return None
    from iterpref.launch import launch, needs_launch
    from iterpref.run_record import read_done, run_key

    run, key = Path(config.paths.run), run_key(config)
    if config.resume and (done := read_done(run, key)):
        log.info("%s is finished with this configuration; resume=false trains it again", run)
    elif needs_launch(config.trainer):
        from iterpref.run_folder import last_checkpoint

        # What cannot be is told once, and before any process starts.
        _check_machine(config)
        if config.resume:
            last_checkpoint(run, key, config)
        launch(config, run)
        done = read_done(run, key)
        assert done is not None, "ranks that ended well have written done.json"
    else:
        from iterpref.run_folder import alone

        with alone(run):
            done = _train(config, run, key)
    return done["metrics"].get(config.sweep.metric)


def _check_machine(config: Config) -> None:
    """Raises `UserError` for what this machine has no device or no package for: before any work, which may be hours of it."""
    from iterpref.config.training import replays
    from iterpref.devices import resolve_device
    from iterpref.models.adapters import check_packages
    from iterpref.models.optim import check_rounding
    from iterpref.ops import resolve_backend
    from iterpref.strategies import check_strategy
    from iterpref.tracking import check_trackers

    device = resolve_device(config.trainer)
    check_trackers(config.logger)
    check_packages(config.model)
    check_strategy(config.trainer)
    check_rounding(config.optim, resolve_backend(config.ops, device) == "triton")
    if replays(config.trainer) and device.type != "cuda":
        raise UserError(
            f"trainer.compile={config.trainer.compile} records CUDA graphs, and this run is on the {device.type}: "
            "set trainer.compile=layers"
        )


def _train(config: Config, run: Path, key: str) -> dict[str, Any]:
    """Trains, exports, and returns what `done.json` then holds."""
    from iterpref.callbacks.pruning import build_pruning
    from iterpref.callbacks.stop_signal import interruptible
    from iterpref.callbacks.wandb_run import wandb_callbacks
    from iterpref.checkpoints import checkpoint_step
    from iterpref.config.training import sharded
    from iterpref.data.datamodule import CodeFlowDataModule
    from iterpref.devices import resolve_device
    from iterpref.memory import memory_advice
    from iterpref.strategies import whole_weights
    from iterpref.tracking import finish_wandb

    record, checkpoint = _begin(config, run, key)
    device = resolve_device(config.trainer)
    datamodule = CodeFlowDataModule(config)
    with record.stage("prepare"):
        datamodule.prepare_data()
        datamodule.setup()
        prepared = datamodule.prepared
    record.update(data=prepared.fingerprints(), pairs={split: len(e) for split, e in datamodule.examples.items()})

    with record.stage("load"):
        module = _build_module(config, datamodule, prepared.model, device)
    first_step = checkpoint_step(checkpoint) if checkpoint else 0
    pruning = build_pruning(config.sweep)
    callbacks = [*pruning, *wandb_callbacks(config, prepared, datamodule)]
    trainer = build_trainer(config, run, device.type, len(datamodule.examples["train"]), first_step, callbacks)
    if checkpoint:
        log.info("going on from step %d of %s", first_step, checkpoint)
    finished = False
    try:
        with record.stage("train"), memory_advice(config), interruptible():
            trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint)
            if datamodule.examples["validation"] and module.validated_step != trainer.global_step:
                # The metric belongs to the weights that are exported.
                trainer.validate(module, datamodule=datamodule, verbose=False)
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        done = {
            "config": key,
            "step": trainer.global_step,
            "metrics": metrics,
            "pruned": pruning[0].pruned_at if pruning else None,
        }
        # Shards are gathered by all ranks.
        whole = whole_weights(module.policy, config.trainer) if sharded(config.trainer) else None
        if trainer.is_global_zero:
            _finish(config, run, record, trainer, module, prepared.model, done, whole)
        trainer.strategy.barrier()
        finished = True
    finally:
        finish_wandb(failed=not finished)
    return done


def _begin(config: Config, run: Path, key: str) -> tuple[RunRecord, Path | None]:
    """Makes this process its rank, with its seed; the run's record, and the checkpoint to go on from."""
    import lightning as L
    from hydra.core.hydra_config import HydraConfig

    from iterpref.checkpoints import check_bits, remove_checkpoints
    from iterpref.devices import resolve_device
    from iterpref.launch import enter, rank
    from iterpref.ops import resolve_backend
    from iterpref.run_folder import last_checkpoint
    from iterpref.run_record import RunRecord
    from iterpref.tracking import run_id

    _check_machine(config)
    enter(config.trainer, named=not HydraConfig.initialized() or is_overridden("paths.run"))
    ops = resolve_backend(config.ops, resolve_device(config.trainer))
    checkpoint = last_checkpoint(run, key, config) if config.resume else None
    if checkpoint is not None:
        check_bits(checkpoint)
    elif rank() == 0:
        # Nothing of an earlier run may pass for this one's, should it be killed before its first checkpoint.
        (run / "done.json").unlink(missing_ok=True)
        remove_checkpoints(run / "checkpoints")
    L.seed_everything(config.seed, workers=True, verbose=False)
    record = RunRecord.start(run, config)
    record.update(reference=config.reference, ops=ops, config_fingerprint=key, tracker_id=run_id(run))
    return record, checkpoint


def _build_module(config: Config, datamodule: Any, model: Path, device: Any) -> Any:
    """The policy, its reference where a second model is one, and what trains it; raises `UserError` for what cannot be trained."""
    from iterpref.config.training import compiles
    from iterpref.models.adapters import add_adapters
    from iterpref.models.checks import check_head, check_model
    from iterpref.models.module import FocalDPOModule
    from iterpref.models.optim import total_steps
    from iterpref.models.policy import compile_layers, load_model, resolve_attention

    attention = resolve_attention(config.model, config.data.packing, device, model)
    policy = load_model(model, config.model, attention)
    check_model(policy, config.model, config.data.packing, datamodule.longest)
    check_head(policy, config.model.name)
    policy = add_adapters(policy, config.model)
    twin = load_model(model, config.model, attention) if config.reference == "live" else None
    if compiles(config.trainer):
        for compiled in (policy, twin):
            if compiled is not None:
                compile_layers(compiled)
    return FocalDPOModule(config, policy, twin, total_steps=total_steps(config, len(datamodule.examples["train"])))


def _finish(
    config: Config, run: Path, record: RunRecord, trainer: lightning.Trainer, module: Any, start: Path, done: dict[str, Any],
    whole: dict[str, Any] | None,
) -> None:  # fmt: skip
    """Export, `done.json`, and the model's artifact; a pruned trial is not exported. `whole`: the weights, where the policy holds a shard."""
    from iterpref.lineage import log_model
    from iterpref.models.card import model_card
    from iterpref.models.export import export, export_run
    from iterpref.run_record import now, write_whole
    from iterpref.tracking import wandb_run

    if done["pruned"] is None:
        with record.stage("export"):
            facts = {"step": done["step"], "metrics": done["metrics"]}
            if config.model.lora.rank or whole is not None:
                weights = whole if whole is not None else module.policy.state_dict()
                export_run(config, run, start, weights, run / "export", **facts)
            else:
                export(module.policy, start, run / "export", model_card(config, run, start, **facts))
    write_whole(run / "done.json", json.dumps(done) + "\n")
    tracked = wandb_run(trainer.loggers)
    if tracked is not None and config.logger.artifacts != "none" and done["pruned"] is None:
        log_model(tracked, run, config.logger.artifacts)
    record.update(finished=now())
    told = f"the model is in {run / 'export'}" if done["pruned"] is None else "pruned by the study"
    log.info("trained %d steps; %s", trainer.global_step, told)


def build_trainer(
    config: Config,
    run: Path,
    device: str,
    train_pairs: int,
    first_step: int = 0,
    more: Sequence[lightning.Callback] = (),
) -> lightning.Trainer:
    """The Lightning Trainer of this config: accumulation to the global batch, best and last checkpoint, loggers."""
    import lightning as L

    from iterpref.checkpoints import StreamedFiles
    from iterpref.config import to_dict
    from iterpref.devices import resolve_device, resolve_precision
    from iterpref.models.module import passes_a_step
    from iterpref.strategies import build_strategy
    from iterpref.tracking import build_loggers

    t = config.trainer
    accumulate = passes_a_step(to_dict(config))
    strategy = build_strategy(config, resolve_precision(t, resolve_device(t)))
    strategy["plugins"].append(StreamedFiles())
    full_steps = train_pairs // config.data.global_batch
    # Only between optimizer steps: a checkpoint holds no half-accumulated gradient.
    between_validations = max(full_steps // t.validations_per_epoch, 1) * accumulate
    # Its notices on devices and ranks it found and on products of its maker are not about this run.
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # A run that goes on finds its checkpoints.
    warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
    # Of Lightning's own code under this torch, once a run: nothing that its user can mend.
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    return L.Trainer(
        accelerator={"cuda": "gpu"}.get(device, device), devices=t.devices, num_nodes=t.nodes,
        max_epochs=t.epochs, max_steps=t.max_steps or -1, deterministic=t.deterministic or None,
        accumulate_grad_batches=accumulate,
        val_check_interval=between_validations if t.validations_per_epoch > 1 and full_steps else 1.0,
        log_every_n_steps=t.log_every, num_sanity_val_steps=0, detect_anomaly=t.check_finite,
        logger=build_loggers(config, run, first_step), callbacks=_callbacks(config, run, more),
        default_root_dir=run,
        enable_progress_bar=sys.stderr.isatty(), enable_checkpointing=t.checkpoints, enable_model_summary=False,
        use_distributed_sampler=False, **strategy,
    )  # fmt: skip


def _callbacks(config: Config, run: Path, more: Sequence[lightning.Callback]) -> list[lightning.Callback]:
    from lightning.pytorch.callbacks import RichProgressBar

    from iterpref.callbacks.finite import CheckFinite
    from iterpref.callbacks.profile import Profile
    from iterpref.callbacks.stop_signal import StopSignal
    from iterpref.callbacks.throughput import Throughput
    from iterpref.checkpoints import Checkpoints

    callbacks: list[lightning.Callback] = [Throughput()]
    if config.trainer.checkpoints:
        callbacks.append(Checkpoints(
            dirpath=run / "checkpoints", filename="best", monitor="val/loss", mode="min", save_top_k=1,
            save_last=True, enable_version_counter=False, save_on_train_epoch_end=False,
        ))  # fmt: skip
    callbacks += [*more, StopSignal(run / "checkpoints" / "last.ckpt")]
    if config.trainer.check_finite:
        callbacks.append(CheckFinite())
    if config.trainer.profile:
        callbacks.append(Profile(run))
    if sys.stderr.isatty():
        callbacks.append(RichProgressBar())
    return callbacks


def main(argv: list[str] | None = None) -> None:
    """The command; `--rerun RUN` repeats a run."""

    def command() -> None:
        run, arguments = rerun_argument(sys.argv[1:] if argv is None else argv)
        if run is None:
            run_command("train", train, arguments)
        else:
            rerun(run, arguments)

    run_task(command)


if __name__ == "__main__":
    main()
