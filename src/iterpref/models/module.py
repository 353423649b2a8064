"""The LightningModule: batch -> policy -> log-ratio op -> loss -> log. The maths stands in `ops` and `losses`."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor

from iterpref.config import Config, to_dict
from iterpref.losses import LossParts, combine, pair_sums, preference_metrics
from iterpref.models.optim import build_optimizer, build_schedule
from iterpref.models.policy import scored_logits
from iterpref.ops import TokenLogRatio, resolve_backend, token_logratio
from iterpref.schema import Batch

# Soft-capped logits are saved by the cap's own backward pass, so their memory cannot be re-used for the gradient.
_KEEPS_LOGITS = "final_logit_softcapping"


class FocalDPOModule(L.LightningModule):
    """A policy and its frozen reference: a second model (`live`), or the log-probs that come with each batch (`cached`).

    The reference is kept out of the module tree: it is in no checkpoint, no optimizer and no `parameters()`.
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
        self._train_meter, self._val_meter = Meter(), Meter()
        self.validated_step: int | None = None  # optimizer steps done at the last validation

    def on_fit_start(self) -> None:
        for model in self._reference:
            model.to(self.device)
        backend = resolve_backend(self.config.ops, self.device)
        self.print(
            f"log-ratio op: {backend} (ops={self.config.ops}); reference: {self.config.reference}; device: {self.device}"
        )

    def ratios(self, batch: Batch) -> TokenLogRatio:
        """Per-token log-ratios [R] of the batch's scored rows."""
        logits_RV = scored_logits(self.policy, batch)
        reference: dict[str, Any] = {"ref_logps_R": batch.ref_logps_R}
        if self._reference:
            with torch.no_grad():
                reference = {"ref_logits_RV": scored_logits(self._reference[0], batch)}
        every_R = torch.ones_like(batch.labels_R, dtype=torch.bool)
        inplace = getattr(self.policy.config, _KEEPS_LOGITS, None) is None
        return token_logratio(
            logits_RV, batch.labels_R, every_R, backend=self.config.ops, inplace_backward=inplace, **reference
        )

    def _step(self, batch: Batch, meter: Meter) -> LossParts:
        sums = pair_sums(self.ratios(batch), batch)
        parts = combine(sums, self.config.loss, batch.step_pairs)
        metrics = {name: value_P.sum() for name, value_P in preference_metrics(sums, self.config.loss).items()}
        scale = batch.step_pairs
        metrics |= {"loss": parts.loss * scale, "preference_loss": parts.preference * scale, "nll": parts.nll * scale}
        meter.add(metrics, batch.n_pairs)
        return parts

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self._step(batch, self._train_meter).loss
        # The loss is already a share of the whole step's mean; undo Lightning's division by the number of micro-batches
        # and the averaging of gradients over devices.
        return loss * self.trainer.accumulate_grad_batches * self.trainer.world_size

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        means = {f"train/{name}": value for name, value in self._train_meter.means().items()}
        self.log_dict({**means, "train/lr": optimizer.param_groups[0]["lr"]})

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, self._val_meter)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(
            {f"val/{name}": value for name, value in self._val_meter.means().items()}, prog_bar=False, sync_dist=True
        )
        self.validated_step = self.trainer.global_step

    def configure_gradient_clipping(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """Clips by global norm and logs the norm before clipping."""
        limit = self.config.optim.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), limit)
        self.log("train/grad_norm", norm)

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self.policy, self.config.optim)
        # Not the trainer's estimate: asking for it here opens the loader before its place in the epoch is restored.
        schedule = build_schedule(optimizer, self.config.optim, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Meter:
    """Sums of per-pair metrics on the device, averaged when asked: no host synchronisation in the step."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._pairs = 0

    def add(self, sums: dict[str, Tensor], pairs: int) -> None:
        for name, value in sums.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._pairs += pairs

    def means(self) -> dict[str, Tensor]:
        """Mean over the pairs seen since the last call."""
        means = {name: value / self._pairs for name, value in self._sums.items()}
        self._sums, self._pairs = {}, 0
        return means
