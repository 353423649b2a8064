"""How several devices share one run: copies (`ddp`), or shards of weights, gradients and optimizer (`fsdp2`, `deepspeed_3`; without
the weights: `deepspeed_2`)."""

from __future__ import annotations

import warnings
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from iterpref.batch import Batch
from iterpref.config import Config, TrainerConfig
from iterpref.config.training import replays, world_size, zero_stage
from iterpref.errors import UserError
from iterpref.launch import is_rank
from iterpref.models.policy import score_rows
from iterpref.models.shared_prefix import attend_apart
from iterpref.ops import TokenLogRatio


def check_strategy(config: TrainerConfig) -> None:
    """Raises `UserError` where DeepSpeed is asked for and missing."""
    if zero_stage(config) and find_spec("deepspeed") is None:
        raise UserError(f"trainer.strategy={config.strategy} needs deepspeed: pip install 'iterpref[deepspeed]'")


def build_strategy(config: Config, precision: str) -> dict[str, Any]:
    """What Lightning's Trainer takes as `strategy`, `precision` and `plugins`; raises `UserError` where DeepSpeed is missing.

    Args:
        precision: `trainer.precision`, resolved.
    """
    world, timeout = world_size(config.trainer), timedelta(seconds=config.trainer.timeout_s)
    # With bf16 weights nothing is left to convert; Lightning would lower the fp32 masks and log-probs of the batch.
    said: dict[str, Any] = {"strategy": "auto", "precision": "32-true" if precision == "bf16-true" else precision}
    said["plugins"] = cluster_plugins()
    if world == 1:
        return said
    check_strategy(config.trainer)
    if stage := zero_stage(config.trainer):
        from iterpref.zero import Zero, ZeroPrecision

        zero = Zero(stage, precision, config.optim.clip_norm, timeout)
        return {"strategy": zero, "precision": None, "plugins": [*said["plugins"], ZeroPrecision()]}
    if config.trainer.strategy == "fsdp2":
        from lightning.pytorch.strategies import ModelParallelStrategy

        return {
            **said,
            "strategy": ModelParallelStrategy(data_parallel_size=world, tensor_parallel_size=1, timeout=timeout),
        }
    from iterpref.copies import Buckets, Copies

    return {**said, "strategy": (Copies if replays(config.trainer) else Buckets)(timeout=timeout)}


def cluster_plugins() -> list[Any]:
    """Ranks that `launch` has started inside somebody's Slurm job are no Slurm tasks."""
    from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment

    return [LightningEnvironment()] if is_rank() and not TorchElasticEnvironment.detect() else []


class Scorer(nn.Module):
    """`score_rows` as a forward pass: FSDP gathers what hangs on a module, such as the head, when it is called."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, ref_logps_R: Tensor | None, backend: str) -> TokenLogRatio:
        return score_rows(self.model, batch, ref_logps_R, backend)


def shard(scorer: Scorer, mesh: Any) -> None:
    """Each decoder layer is gathered for its pass and dropped; embedding, norm and head stay from forward to backward."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    attend_apart(scorer.model)
    # Gradients of bf16 weights are added up over ranks in fp32.
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    for layer in scorer.model.get_decoder().layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(scorer, mesh=mesh, mp_policy=policy)
    # Nothing is written into the log-ratios, which are views of one another.
    warnings.filterwarnings("ignore", message=r"FSDP2-wrapped module \(FSDPScorer\) returned a view tensor")


def whole_weights(model: nn.Module, config: TrainerConfig) -> dict[str, Tensor]:
    """The model's state, gathered from its shards: on the CPU of rank 0. All ranks must call it."""
    if zero_stage(config):
        from iterpref.zero_held import gathered

        return gathered(model)
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_model_state_dict(model, options=options)  # type: ignore[return-value]
