"""`trainer.strategy=deepspeed_3`: Lightning's DeepSpeed strategy with ZeRO 3, and what this project's steps and checkpoints need of it.

Parameters, gradients and AdamW's averages are cut into flat shards, one a rank. With trainer.precision=bf16-true the passes run in
bf16 and each rank keeps its shard of the weights in fp32 beside it, so that small steps are not lost; bf16-mixed is torch's
autocast over fp32 shards. No operator of DeepSpeed's is compiled: the optimizer is torch's AdamW.

Checkpoints are folders of torch.distributed.checkpoint, as FSDP2's: flat tensors that any number of ranks can read, not DeepSpeed's
own files, which fit one number of ranks alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.precision import DeepSpeedPrecision
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor, nn

from iterpref.checkpoints import StreamedFiles
from iterpref.models.adapters import trained_only

_AVERAGES = ("exp_avg", "exp_avg_sq")


class Zero3(DeepSpeedStrategy):
    """Lightning's, on any device that torch.distributed knows, for steps of any number of passes.

    Args:
        precision: `trainer.precision`, resolved.
        clip_norm: largest norm of the gradient; 0: no clipping.
    """

    def __init__(self, precision: str, clip_norm: float, timeout: timedelta) -> None:
        super().__init__(config=_settings(precision, clip_norm), timeout=timeout)
        self._engine: Any = None

    # Lightning's refuses the CPU, which the tests train on.
    def setup_environment(self) -> None:
        super(DeepSpeedStrategy, self).setup_environment()

    def setup_distributed(self) -> None:
        # Between DeepSpeed and a newer torch, thousands of times: nothing that its user can mend.
        warnings.filterwarnings("ignore", message=r"`torch\.distributed\.\w+` is deprecated", category=FutureWarning)
        if self.root_device.type == "cpu":
            from deepspeed.ops import __compatible_ops__

            __compatible_ops__["deepspeed_shm_comm"] = False  # would be compiled at the first start
        self.set_world_ranks()
        self._init_deepspeed_distributed()

    def _format_config(self) -> None:
        pass  # all is said in `_settings`: Lightning's fixed number of passes a step is not ours

    def init_deepspeed(self) -> None:
        if self._engine is not None:  # a validation after the training
            self.model = self._engine
            self._engine.module.to(self.root_device)
            return
        module: Any = self.lightning_module
        self._initialize_deepspeed_train(module)
        self._engine = self.model
        import deepspeed

        # The head's weight is used outside of its layer, once for the whole pass.
        for parameter in module.policy.get_output_embeddings().parameters():
            deepspeed.zero.register_external_parameter(module, parameter)

    def _setup_model_and_optimizer(self, model: Any, optimizer: Any, lr_scheduler: Any = None) -> tuple[Any, Any]:
        import deepspeed

        engine, wrapped, _, _ = deepspeed.initialize(
            config=self.config, model=model, optimizer=optimizer, lr_scheduler=lr_scheduler, dist_init_required=False,
            model_parameters=[p for p in model.parameters() if p.requires_grad],
        )  # fmt: skip
        return engine, wrapped

    @property
    def handles_gradient_accumulation(self) -> bool:
        return False  # DeepSpeed counts passes; an epoch's last step may have fewer

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        self._engine.set_gradient_accumulation_boundary(False)
        yield
        self._engine.set_gradient_accumulation_boundary(True)

    @property
    def grad_norm(self) -> Any:
        """Of the last step, before clipping."""
        return self._engine.get_global_grad_norm()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        return {}  # `save_checkpoint` takes what it needs, shard by shard

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        return {}

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        from torch.distributed.checkpoint.state_dict_saver import save

        path = Path(self.broadcast(str(filepath)))
        path.mkdir(parents=True, exist_ok=True)
        save(self._shards(), checkpoint_id=path)
        if self.is_global_zero:
            shapes = {f"policy.{name}": list(_shape(t)) for name, t in self._named()}
            rest = {k: v for k, v in checkpoint.items() if k not in ("state_dict", "optimizer_states")}
            StreamedFiles().save_checkpoint(
                {**rest, "shapes": shapes, "optimizer_step": self._count()}, path / "meta.pt"
            )

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        from torch.distributed.checkpoint.state_dict_loader import load

        path = Path(self.broadcast(str(checkpoint_path)))
        meta = torch.load(path / "meta.pt", weights_only=True, map_location="cpu")
        self._begin_averages(meta["optimizer_step"])
        shards = self._shards()
        load(shards, checkpoint_id=path)
        self._take(shards)
        # Lightning restores the schedule, which sets a rate for the step after the next.
        for group, rate in zip(self._engine.optimizer.param_groups, meta["lr_schedulers"][0]["_last_lr"], strict=True):
            group["lr"] = rate
        return meta

    def load_model_state_dict(self, checkpoint: Any, strict: bool = True) -> None:
        pass  # done by `load_checkpoint`

    def _named(self) -> list[tuple[str, Any]]:
        module: Any = self.lightning_module
        return list(trained_only(module.policy, module.policy.state_dict(keep_vars=True)).items())

    def _shards(self) -> dict[str, Any]:
        """Each parameter and its averages as a flat tensor of which this rank holds a part; what is no parameter as it is."""
        from deepspeed.utils import safe_get_local_fp32_param, safe_get_local_optimizer_state
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import DTensor, Shard

        mesh = init_device_mesh(self.root_device.type, (self.world_size,))

        def flat(parameter: Any, local: Tensor) -> DTensor:
            # DeepSpeed's last shard is padded, torch's is short.
            begin = min(self.global_rank * local.numel(), parameter.ds_numel)
            own = local[: min(local.numel(), parameter.ds_numel - begin)].to(self.root_device)
            return DTensor.from_local(own, mesh, [Shard(0)], shape=torch.Size([parameter.ds_numel]), stride=(1,))

        shards: dict[str, Any] = {}
        for name, tensor in self._named():
            if not hasattr(tensor, "ds_id"):
                shards[f"state_dict.policy.{name}"] = tensor
                continue
            shards[f"state_dict.policy.{name}"] = flat(tensor, safe_get_local_fp32_param(tensor))
            for key in _AVERAGES if self._count() else ():
                shards[f"optimizer_0.{name}.{key}"] = flat(tensor, safe_get_local_optimizer_state(tensor, key))
        return shards

    def _take(self, shards: dict[str, Any]) -> None:
        """The other way round: what `_shards` gave, into parameters and averages."""
        from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

        for name, tensor in self._named():
            if not hasattr(tensor, "ds_id"):
                continue
            padded = nn.functional.pad
            parts = [
                shards[f"state_dict.policy.{name}"],
                *(shards.get(f"optimizer_0.{name}.{key}") for key in _AVERAGES),
            ]
            room = tensor.ds_tensor.numel()
            own, *averages = [padded(p.to_local(), (0, room - p.to_local().numel())) for p in parts if p is not None]
            safe_set_local_fp32_param(tensor, own)
            tensor.ds_tensor.data.copy_(own)
            for key, average in zip(_AVERAGES, averages, strict=False):
                safe_set_local_optimizer_state(tensor, average, key)

    def _count(self) -> int:
        """Steps that the optimizer has done."""
        zero = self._engine.optimizer
        states = [zero.optimizer.state.get(flat) for flat in zero.fp32_partitioned_groups_flat]
        return int(states[0]["step"]) if states[0] else 0

    def _begin_averages(self, step: int) -> None:
        zero = self._engine.optimizer
        for flat in zero.fp32_partitioned_groups_flat if step else ():
            zero.optimizer.state[flat] = {
                "step": torch.tensor(float(step), device=flat.device),
                **{key: torch.zeros_like(flat) for key in _AVERAGES},
            }


class Zero3Precision(DeepSpeedPrecision):
    """The engine's arithmetic is in its settings; masks and log-probs of a batch stay in fp32."""

    def __init__(self) -> None:
        super().__init__("32-true")

    def convert_module(self, module: nn.Module) -> nn.Module:
        return module

    def convert_input(self, data: Any) -> Any:
        return data

    def backward(self, tensor: Tensor, model: Any, optimizer: Any, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        model.trainer.model.backward(tensor, *args, **kwargs)


def _settings(precision: str, clip_norm: float) -> dict[str, Any]:
    """DeepSpeed's JSON. Gradients are added over passes and ranks in fp32, as elsewhere."""
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": clip_norm,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {"stage": 3, "overlap_comm": True, "contiguous_gradients": True},
        "communication_data_type": "fp32",
        "data_types": {"grad_accum_dtype": "fp32"},
        "bf16": {"enabled": precision == "bf16-true", "check_grad_overflow": False},
        "torch_autocast": {"enabled": precision == "bf16-mixed", "dtype": "bfloat16"},
    }


def _shape(tensor: Any) -> torch.Size:
    return getattr(tensor, "ds_shape", tensor.shape)


def gathered(model: nn.Module) -> dict[str, Tensor]:
    """The model's state on the CPU of rank 0, parameter by parameter; all ranks must call it."""
    import deepspeed

    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        with deepspeed.zero.GatheredParameters([tensor] if hasattr(tensor, "ds_id") else []):
            if torch.distributed.get_rank() == 0:
                state[name] = tensor.detach().to("cpu", copy=True)
    return state
