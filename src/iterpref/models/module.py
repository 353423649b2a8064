"""The LightningModule: batch -> policy -> log-ratio op -> loss -> log. The maths stands in `ops` and `losses`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor

from iterpref.batch import Batch
from iterpref.config import Config, to_dict
from iterpref.config.training import replays, sharded, zero_stage
from iterpref.copies import Buckets
from iterpref.losses import LossParts, combine, pair_sums, preference_metrics
from iterpref.models.adapters import check_trained, has_adapters, trained_only, without_adapters
from iterpref.models.graphs import StepGraphs
from iterpref.models.optim import build_optimizer, build_schedule, clip
from iterpref.models.policy import plain_layers
from iterpref.models.step_log import StepLog, Value
from iterpref.ops import TokenLogRatio, resolve_backend
from iterpref.strategies import Scorer, shard


class FocalDPOModule(L.LightningModule):
    """A policy and its frozen reference: a second model (`live`), the log-probs that come with each batch (`cached`), or the
    policy with its adapters off (`adapter`).

    The reference is kept out of the module tree: it is in no checkpoint, no optimizer and no `parameters()`. A checkpoint
    holds what trains: of a policy with adapters, these alone.
    """

    def __init__(self, config: Config, policy: Any, reference: Any | None = None, *, total_steps: int) -> None:
        super().__init__()
        # A plain dict: a DictConfig in the checkpoint would not load under torch's weights_only default.
        self.save_hyperparameters(to_dict(config))
        self.config = config
        self.total_steps = total_steps
        self.policy = policy
        # In a tuple, so that torch does not see it as a submodule.
        self._reference: tuple[Any, ...] = (reference.eval().requires_grad_(False),) if reference is not None else ()
        self._scorers = tuple(Scorer(model) for model in (policy, *self._reference))
        self._sharded, self._cut = sharded(config.trainer), False
        self._train_meter, self._val_meter = Meter(), Meter()
        self._log = StepLog(self._write_line)
        self.line: dict[str, Value] = {}  # of the step under way; callbacks add to it
        self._graphs: StepGraphs | None = None
        self._names: list[str] = []  # of the sums that a graph leaves
        self._begins = True  # the next micro-batch is the first of its step
        self.validated_step: int | None = None  # optimizer steps done at the last validation

    @property
    def reference(self) -> Any | None:
        """The frozen second model, or None where its log-probs come with the batches."""
        return self._reference[0] if self._reference else None

    def configure_model(self) -> None:
        if self.config.trainer.strategy == "fsdp2" and not self._cut:  # called again for a validation
            self._cut = True
            for scorer in self._scorers:
                shard(scorer, self.device_mesh["data_parallel"])  # type: ignore[index]

    def on_fit_start(self) -> None:
        if replays(self.config.trainer):
            adds_up = self.trainer.accumulate_grad_batches > 1 or self.trainer.world_size > 1
            self._graphs = StepGraphs(self._whole_pass, self.policy.parameters(), adds_up)
        for model in self._reference:
            model.to(self.device)
        backend = resolve_backend(self.config.ops, self.device)
        self.print(
            f"log-ratio op: {backend} (ops={self.config.ops}); reference: {self.config.reference}; device: {self.device}"
        )

    def ratios(self, batch: Batch) -> TokenLogRatio:
        """Per-token log-ratios [R] of the batch's scored rows."""
        ref_logps_R = batch.ref_logps_R
        if self._reference:
            with torch.no_grad():
                ref_logps_R = self._scorers[-1](batch, None, self.config.ops).policy_logps_R
        elif self.config.reference == "adapter":
            with torch.no_grad(), without_adapters(self.policy):
                ref_logps_R = self._scorers[0](batch, None, self.config.ops).policy_logps_R
        if ref_logps_R is None:
            raise ValueError("no reference: neither a frozen model, nor log-probs of it in the batch")
        return self._scorers[0](batch, ref_logps_R, self.config.ops)

    def _step(self, batch: Batch, meter: Meter) -> LossParts:
        sums = pair_sums(self.ratios(batch), batch)
        parts = combine(sums, self.config.loss, batch.step_pairs)
        per_pair = preference_metrics(sums, self.config.loss, batch.terms)
        means = {"loss": parts.loss}
        if batch.terms is None or batch.terms.preference:
            means["preference_loss"] = parts.preference
        if batch.terms is None or batch.terms.nll:
            means["nll"] = parts.nll
        sums_by_name, pairs = {name: mean * batch.step_pairs for name, mean in means.items()}, batch.n_pairs
        if batch.filler:
            parts = LossParts(*(part * 0.0 for part in parts))
            per_pair, sums_by_name = ({k: v * 0.0 for k, v in d.items()} for d in (per_pair, sums_by_name))
            pairs = 0
        meter.add(per_pair, sums_by_name, pairs)
        return parts

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if self._graphs is not None:
            loss, sums_M = self._graphs(batch, self._begins)
            self._begins = False
            # The next replay writes over them.
            self._train_meter.add_sums(self._names, sums_M.clone(), 0 if batch.filler else batch.n_pairs)
            return loss.clone()
        loss = self._step(batch, self._train_meter).loss
        # The loss is already a share of the whole step's mean; undo Lightning's division by the number of micro-batches
        # and the averaging of gradients over devices.
        return loss * self.trainer.accumulate_grad_batches * self.trainer.world_size

    def add_over_ranks(self) -> None:
        """Behind the last pass of a step of `copies.Copies`, whose ranks' gradients are shares of one sum."""
        assert self._graphs is not None
        self._graphs.add_over_ranks()

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.line["train/lr"] = optimizer.param_groups[0]["lr"]

    def _whole_pass(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Forward, loss and backward; what a graph is recorded of."""
        meter = Meter()
        # A weight that autocast has lowered before the recording would be read at every replay, as it was then.
        with torch.autocast("cuda", torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda"), False):
            loss = self._step(batch, meter).loss
        loss.backward()
        self._names, sums_M = meter.sums()
        return loss.detach(), sums_M

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self._graphs is None:  # else done in the pass
            super().backward(loss, *args, **kwargs)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        if self._graphs is None:  # else the first pass of a step replaces them
            optimizer.zero_grad(set_to_none=not self._in_buckets)

    def on_validation_model_zero_grad(self) -> None:
        if not self._in_buckets:  # else the next pass would not find them, and their memory stays taken
            super().on_validation_model_zero_grad()

    @property
    def _in_buckets(self) -> bool:
        return isinstance(self.trainer.strategy, Buckets)

    def nothing(self, zero: Tensor) -> Tensor:
        """`zero` [], and a gradient of 0 in every weight that trains, the last ones first as in a pass: DDP orders its buckets by that."""
        return sum((zero * p.flatten()[0].float() for p in self.parameters() if p.requires_grad), zero)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if "train/lr" not in self.line:
            return  # in the middle of a step
        self._begins = True
        if zero_stage(self.config.trainer):
            self.line["train/grad_norm"] = self.trainer.strategy.grad_norm  # type: ignore[attr-defined]
        if self.trainer.global_step % self.config.trainer.log_every == 0:
            self._log.add({**self._means("train", self._train_meter), **self.line}, self.trainer.global_step - 1)
        self.line = {}

    def _means(self, stage: str, meter: Meter) -> dict[str, Tensor]:
        """The meter's means over the pairs of all ranks, by the names that they are logged under."""
        over_ranks = self._over_ranks if self.trainer.world_size > 1 else None
        return {f"{stage}/{name}": value for name, value in meter.means(over_ranks).items()}

    def _over_ranks(self, sums: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(sums, reduce_op="sum")  # type: ignore[return-value]

    def _write_line(self, line: dict[str, float], step: int) -> None:
        for logger in self.trainer.loggers:
            logger.log_metrics({**line, "epoch": self.trainer.current_epoch}, step=step)
            logger.save()

    def on_validation_start(self) -> None:
        self._log.flush()

    def on_train_end(self) -> None:
        self._log.flush()

    def on_exception(self, exception: BaseException) -> None:
        self._log.flush()

    def on_fit_end(self) -> None:
        if self._graphs is not None:
            self.policy.zero_grad()  # gradients lie in the graphs' memory
            self._graphs = None

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        with plain_layers(self.policy):
            self._step(batch, self._val_meter)

    def on_validation_epoch_end(self) -> None:
        # All ranks have the same means; Lightning asks for sync_dist all the same.
        self.log_dict(self._means("val", self._val_meter), prog_bar=False, sync_dist=True)
        self.validated_step = self.trainer.global_step

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if not self._sharded:  # shards are loaded into what is there, frozen or not
            checkpoint["state_dict"] = trained_only(self.policy, checkpoint["state_dict"], "policy.")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # What is frozen is in no checkpoint; what trains must all be there.
        if not self._sharded:
            self.strict_loading = not has_adapters(self.policy)
            check_trained(self.policy, {name.removeprefix("policy.") for name in checkpoint["state_dict"]})
        before, now = passes_a_step(checkpoint["hyper_parameters"]), self.trainer.accumulate_grad_batches
        if before != now:  # other devices share the steps
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
            for counts in (progress["total"], progress["current"]):
                counts |= {name: math.ceil(count * now / before) for name, count in counts.items()}
            # An epoch's last step has as many passes as its pairs need, which may be fewer.
            passes = len(self.trainer.datamodule.train_dataloader())  # type: ignore[attr-defined]
            progress["current"] |= {name: min(count, passes) for name, count in progress["current"].items()}

    def configure_gradient_clipping(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """Clips by global norm and logs the norm before clipping; DeepSpeed does so in its step."""
        if zero_stage(self.config.trainer):
            return
        self.line["train/grad_norm"] = clip(optimizer, self.config.optim.clip_norm or float("inf"))

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self.policy, self.config.optim, self.config.ops if not self._sharded else "torch")
        # Not the trainer's estimate: asking for it here opens the loader before its place in the epoch is restored.
        schedule = build_schedule(optimizer, self.config.optim, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def passes_a_step(config: dict[str, Any]) -> int:
    """Micro-batches of one optimizer step on each device."""
    data, trainer = config["data"], config["trainer"]
    return int(data["global_batch"] // (data["micro_batch"] * trainer["devices"] * trainer["nodes"]))


class Meter:
    """Sums of per-pair metrics on the device, averaged when asked: no host synchronisation in the step."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sums_M: Tensor | None = None
        self._pairs = 0

    def add(self, per_pair: dict[str, Tensor], sums: dict[str, Tensor], pairs: int) -> None:
        """Metrics [P] of each pair, and sums over the pairs; the same names in each call until `means`."""
        sums_M = torch.stack([value.detach().float() for value in sums.values()])
        if per_pair:
            sums_M = torch.cat([torch.stack([v.detach() for v in per_pair.values()]).sum(1), sums_M])
        self.add_sums([*per_pair, *sums], sums_M, pairs)

    def add_sums(self, names: list[str], sums_M: Tensor, pairs: int) -> None:
        """The same, added up before."""
        self._names = names
        self._sums_M = sums_M if self._sums_M is None else self._sums_M + sums_M
        self._pairs += pairs

    def sums(self) -> tuple[list[str], Tensor]:
        """Names and sums since the last call of `means`."""
        assert self._sums_M is not None
        return self._names, self._sums_M

    def means(self, over_ranks: Callable[[Tensor], Tensor] | None = None) -> dict[str, Tensor]:
        """Mean over the pairs seen since the last call, on this rank or, with the sum `over_ranks`, on all."""
        if self._sums_M is None:
            return {}
        sums_M, pairs_1 = self._sums_M, self._sums_M.new_full((1,), self._pairs)
        if over_ranks is not None:
            sums_M, pairs_1 = over_ranks(torch.cat([sums_M, pairs_1])).split([len(sums_M), 1])
        means = dict(zip(self._names, (sums_M / pairs_1).unbind(), strict=True))
        self._sums_M, self._pairs = None, 0
        return means
