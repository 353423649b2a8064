"""The LightningModule under a real Trainer: the gradient it takes, what a checkpoint holds, how a killed run goes on."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from iterpref.checkpoints import checkpoint_step
from iterpref.config import Config, to_dict
from iterpref.data.collate import collate
from iterpref.data.loader import PairLoader
from iterpref.models.module import FocalDPOModule, Meter
from iterpref.models.optim import total_steps
from iterpref.schema import Example
from iterpref.strategies import build_strategy
from iterpref.train import build_trainer

PAIRS = 10  # with a global batch of 4: steps of 4, 4 and 2 pairs


def settings(**changes: Any) -> Config:
    """`settings(optim__lr=1e-2)`: two epochs in fp32 on the CPU."""
    config = Config(reference="live")
    config.trainer.accelerator, config.trainer.precision, config.trainer.epochs = "cpu", "32-true", 2
    config.data.global_batch, config.data.micro_batch = 4, 2
    config.logger.wandb, config.optim.lr, config.loss.beta, config.loss.nll = "disabled", 3e-3, 0.3, "mean"
    for key, value in changes.items():
        section, leaf = key.split("__")
        setattr(getattr(config, section), leaf, value)
    return config


class Watch(L.Callback):
    """Pair ids as they are trained on, and a crash on order after `die_at` micro-batches."""

    def __init__(self, die_at: int | None = None) -> None:
        self.seen: list[str] = []
        self.batches, self.die_at = 0, die_at
        self.gradients: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seen += batch.pair_ids
        self.batches += 1
        if self.batches == self.die_at:
            raise ConnectionAbortedError

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.gradients.append({n: p.grad.clone() for n, p in pl_module.policy.named_parameters()})


@pytest.fixture
def fit(tiny_model: Any, make_examples: Any, tmp_path: Path) -> Any:
    """`fit(config)` trains on `PAIRS` pairs and gives module, trainer and watch; a second call with `resume` goes on."""

    def run(
        config: Config, *, resume: bool = False, die_at: int | None = None, validation: int = 4, folder: str = "run"
    ) -> Any:
        place = tmp_path / folder
        checkpoint = place / "checkpoints" / "last.ckpt" if resume else None
        watch = Watch(die_at)
        module = FocalDPOModule(
            config, tiny_model().train(), tiny_model(seed=1), total_steps=total_steps(config, PAIRS)
        )
        trainer = build_trainer(config, place, "cpu", PAIRS, checkpoint_step(checkpoint) if checkpoint else 0)
        trainer.callbacks.append(watch)
        loaders = [
            PairLoader(
                examples, lambda e, step_pairs: collate(e, packing=config.data.packing, pad_id=0, step_pairs=step_pairs),
                global_batch=config.data.global_batch, micro_batch=config.data.micro_batch, seed=seed,
            )
            for examples, seed in ((make_examples(PAIRS), config.seed), (make_examples(validation, 1, split="validation"), None))
        ]  # fmt: skip
        try:
            trainer.fit(module, loaders[0], loaders[1] if validation else [], ckpt_path=checkpoint)
        except ConnectionAbortedError:
            assert die_at is not None
        return module, trainer, watch

    return run


def rows(folder: Path, *columns: str) -> list[tuple[float, ...]]:
    with (folder / "metrics.csv").open(newline="") as handle:
        return [
            tuple(float(row[c]) for c in columns) for row in csv.DictReader(handle) if all(row.get(c) for c in columns)
        ]


def definition(policy: Any, reference: Any, examples: list[Example], config: Config) -> Tensor:
    """Equations 6 and 8 pair by pair: full sequences, full logits, autograd's own log-softmax."""

    def logps(model: Any, prompt: tuple[int, ...], ids: tuple[int, ...]) -> Tensor:
        logits_TV = model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
        return logits_TV.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0]

    total = torch.zeros(())
    for e in examples:
        k = []
        for ids, mask in ((e.chosen_ids, e.chosen_mask), (e.rejected_ids, e.rejected_mask)):
            with torch.no_grad():
                frozen_T = logps(reference, e.prompt_ids, ids)
            k.append((torch.tensor(mask) * (logps(policy, e.prompt_ids, ids) - frozen_T)).sum())
        nll = -logps(policy, e.prompt_ids, e.chosen_ids).mean()
        total = total + torch.log1p(torch.exp(-config.loss.beta * (k[0] - k[1]))) + config.loss.alpha * nll
    return total / len(examples)


@pytest.mark.parametrize("packing", ["padded", "shared"])
def test_the_first_step_takes_the_gradient_of_the_plain_definition(
    packing: str, fit: Any, tiny_model: Any, make_examples: Any
) -> None:
    config = settings(data__packing=packing, optim__clip_norm=0.0)
    _, _, watch = fit(config)
    by_id = {e.pair_id: e for e in make_examples(PAIRS)}
    policy = tiny_model()
    definition(policy, tiny_model(seed=1), [by_id[i] for i in watch.seen[:4]], config).backward()
    for name, parameter in policy.named_parameters():
        torch.testing.assert_close(
            watch.gradients[0][name], parameter.grad, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_two_epochs_train_on_every_pair_twice_in_two_orders(fit: Any) -> None:
    _, trainer, watch = fit(settings())
    first, second = watch.seen[:PAIRS], watch.seen[PAIRS:]
    assert sorted(first) == sorted(second) == sorted(set(first))
    assert len(first) == PAIRS
    assert first != second
    assert trainer.global_step == 6


def test_every_step_is_logged_once_with_the_mean_over_its_pairs(
    fit: Any, tmp_path: Path, tiny_model: Any, make_examples: Any
) -> None:
    config = settings()
    _, _, watch = fit(config)
    logged = rows(
        tmp_path / "run", "step", "train/loss", "train/margin", "train/grad_norm", "train/lr", "train/pairs_per_s"
    )
    assert [step for step, *_ in logged] == [0, 1, 2, 3, 4, 5]
    by_id = {e.pair_id: e for e in make_examples(PAIRS)}
    loss = definition(tiny_model(), tiny_model(seed=1), [by_id[i] for i in watch.seen[:4]], config)
    assert logged[0][1] == pytest.approx(loss.item(), rel=1e-4)
    assert [step for step, _ in rows(tmp_path / "run", "step", "val/loss")] == [2, 5]


def test_a_starting_policy_ties_with_itself(tiny_model: Any, make_examples: Any) -> None:
    module = FocalDPOModule(settings(), tiny_model().train(), tiny_model(), total_steps=1)
    meter = Meter()
    module._step(collate(make_examples(6), packing="shared", pad_id=0), meter)
    means = {name: value.item() for name, value in meter.means().items()}
    assert means["accuracy"] == means["focal_accuracy"] == 0.5
    assert means["preference_loss"] == pytest.approx(0.6931472, abs=1e-5)


def test_the_norm_that_is_logged_is_the_one_before_clipping(fit: Any, tmp_path: Path) -> None:
    _, _, free = fit(settings(optim__clip_norm=0.0), folder="free")
    module, trainer, _ = fit(settings(optim__clip_norm=0.5), folder="clipped")
    norm = torch.stack([g.norm() for g in free.gradients[0].values()]).norm().item()
    assert norm > 1
    for folder in ("free", "clipped"):
        assert rows(tmp_path / folder, "train/grad_norm")[0][0] == pytest.approx(norm, rel=1e-5)
    for parameter in module.policy.parameters():
        parameter.grad = torch.ones_like(parameter)
    module.log = lambda *_, **__: None
    module.configure_gradient_clipping(trainer.optimizers[0])
    assert torch.stack([p.grad.norm() for p in module.policy.parameters()]).norm().item() == pytest.approx(
        0.5, rel=1e-4
    )


def test_under_ddp_gradients_lie_in_what_is_exchanged_from_the_first_pass_on(
    fit: Any, one_process_ddp: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[set[int]] = []

    def note(module: Any) -> None:
        places.append({p.grad.untyped_storage().data_ptr() for p in module.policy.parameters() if p.grad is not None})

    monkeypatch.setattr(FocalDPOModule, "on_after_backward", note)
    called = DistributedDataParallel._pre_forward

    def moving(ddp: Any, *inputs: Any, **named: Any) -> Any:
        assert inputs or named, "on a GPU, where DDP moves them, it takes no call without any"
        return called(ddp, *inputs, **named)

    monkeypatch.setattr(DistributedDataParallel, "_pre_forward", moving)
    module, *_ = fit(settings())
    assert len(places) == 10  # passes: of two epochs of two steps of two, and one of one
    assert all(len(place) < 3 for place in places), places  # buckets; else each weight has a place of its own
    monkeypatch.setattr("iterpref.strategies.build_strategy", build_strategy)
    alone, *_ = fit(settings(), folder="alone")
    for name, weight in alone.policy.named_parameters():
        assert torch.equal(weight, dict(module.policy.named_parameters())[name]), name


def test_the_reference_is_nowhere_but_in_the_loss(fit: Any, tiny_model: Any, tmp_path: Path) -> None:
    module, trainer, _ = fit(settings())
    reference, frozen = module._reference[0], tiny_model(seed=1)
    held = {id(p) for p in reference.parameters()}
    assert not held & {id(p) for p in module.parameters()}
    assert not held & {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert not any(p.requires_grad or p.grad is not None for p in reference.parameters())
    assert not any(part.training for part in reference.modules())
    for (name, now), then in zip(reference.state_dict().items(), frozen.state_dict().values(), strict=True):
        assert torch.equal(now, then), name
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert set(checkpoint["state_dict"]) == {f"policy.{name}" for name in module.policy.state_dict()}
    size = sum(v.numel() for v in checkpoint["state_dict"].values())
    assert size == sum(v.numel() for v in module.policy.state_dict().values())


def test_the_policy_is_in_train_mode_while_it_trains_and_moves(fit: Any, tiny_model: Any) -> None:
    module, _, _ = fit(settings())
    assert module.policy.training
    start = dict(tiny_model().named_parameters())
    assert all(not torch.equal(p, start[name]) for name, p in module.policy.named_parameters())


def test_hyperparameters_are_plain_data_under_weights_only(fit: Any, tmp_path: Path) -> None:
    config = settings()
    fit(config)
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"] == to_dict(config)
    assert checkpoint["global_step"] == checkpoint_step(tmp_path / "run" / "checkpoints" / "last.ckpt") == 6


@pytest.mark.parametrize(
    ("validations", "die_at", "goes_on_at"),
    [(1, 7, 3), (3, 6, 2), (3, 3, 1), (3, 9, 4)],
    ids=["after an epoch", "inside the first epoch", "after one step", "inside the second epoch"],
)
def test_a_killed_run_goes_on_to_the_same_weights(
    validations: int, die_at: int, goes_on_at: int, fit: Any, tmp_path: Path
) -> None:
    config = settings(trainer__validations_per_epoch=validations)
    whole, _, all_pairs = fit(config, folder="whole")
    fit(config, die_at=die_at)
    assert checkpoint_step(tmp_path / "run" / "checkpoints" / "last.ckpt") == goes_on_at
    resumed, trainer, rest = fit(config, resume=True)
    assert trainer.global_step == 6
    assert rest.seen == all_pairs.seen[-len(rest.seen) :]
    assert len(rest.seen) == {1: 16, 2: 12, 3: 10, 4: 6}[goes_on_at]
    for (name, mine), wanted in zip(
        resumed.policy.state_dict().items(), whole.policy.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, wanted), name
    columns = ("step", "train/loss", "train/grad_norm", "train/lr")
    assert rows(tmp_path / "run", *columns) == rows(tmp_path / "whole", *columns)


def test_a_validation_never_falls_between_two_micro_batches_of_a_step(fit: Any, tmp_path: Path) -> None:
    fit(settings(trainer__validations_per_epoch=50, trainer__epochs=1))
    # Full steps end at 0 and 1; the ragged last one has no checkpoint of its own.
    assert [step for step, _ in rows(tmp_path / "run", "step", "val/loss")] == [0, 1]


def test_a_validation_runs_layers_as_they_are_and_training_as_they_are_compiled(
    fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients: list[bool] = []

    def compiled(call: Any) -> Any:
        return lambda *a, **k: gradients.append(torch.is_grad_enabled()) or call(*a, **k)

    def compile_first(module: FocalDPOModule) -> None:
        layer = module.policy.get_decoder().layers[0]
        layer._compiled_call_impl = compiled(layer._call_impl)
        on_fit_start(module)

    on_fit_start = FocalDPOModule.on_fit_start
    monkeypatch.setattr(FocalDPOModule, "on_fit_start", compile_first)
    fit(settings(trainer__validations_per_epoch=2))
    assert len(rows(tmp_path / "run", "val/loss")) >= 2
    assert gradients == 10 * [True]  # five passes in each of two epochs, before and behind validations


def test_a_run_without_validation_pairs_trains_and_leaves_a_checkpoint(fit: Any, tmp_path: Path) -> None:
    module, trainer, _ = fit(settings(), validation=0)
    assert trainer.global_step == 6
    assert module.validated_step is None
    assert checkpoint_step(tmp_path / "run" / "checkpoints" / "last.ckpt") == 6


def test_a_run_without_checkpoints_trains_the_same_and_stores_none(fit: Any, tmp_path: Path) -> None:
    kept, _, _ = fit(settings(), folder="kept")
    module, trainer, _ = fit(settings(trainer__checkpoints=False))
    assert trainer.global_step == 6
    assert not (tmp_path / "run/checkpoints").exists()
    assert (tmp_path / "kept/checkpoints/last.ckpt").is_file()
    for own, other in zip(module.policy.parameters(), kept.policy.parameters(), strict=True):
        assert torch.equal(own, other)


def test_soft_capped_logits_train_without_reusing_their_memory(tiny_model: Any, make_examples: Any) -> None:
    config = settings()
    models = [tiny_model("gemma2", seed=s, final_logit_softcapping=2.0) for s in (0, 1)]
    module = FocalDPOModule(config, models[0], models[1], total_steps=1)
    examples = make_examples(3)
    module._step(collate(examples, packing="padded", pad_id=0), Meter()).loss.backward()
    found = {name: p.grad.clone() for name, p in module.policy.named_parameters()}
    module.policy.zero_grad()
    definition(module.policy, models[1], examples, config).backward()
    for name, parameter in module.policy.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
