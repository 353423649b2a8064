"""`trainer.strategy=deepspeed_2` and `deepspeed_3`: Lightning's DeepSpeed strategy, and what this project's steps and checkpoints need of it.

Gradients and AdamW's averages are cut into flat shards, one a rank, and by stage 3 the weights as well. With trainer.precision=bf16-true
the passes run in bf16 and each rank keeps its shard of the weights in fp32 beside it, so that small steps are not lost; bf16-mixed is
torch's autocast over fp32. No operator of DeepSpeed's is compiled: the optimizer is torch's AdamW.

Checkpoints are folders of torch.distributed.checkpoint, as FSDP2's: flat tensors that any number of ranks can read, of either stage, not
DeepSpeed's own files, which fit one number of ranks alone (`zero_held.py`).
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
from iterpref.zero_held import Held, Held2, Held3


class Zero(DeepSpeedStrategy):
    """Lightning's, on any device that torch.distributed knows, for steps of any number of passes.

    Args:
        stage: 2 or 3.
        precision: `trainer.precision`, resolved.
        clip_norm: largest norm of the gradient; 0: no clipping.
    """

    def __init__(self, stage: int, precision: str, clip_norm: float, timeout: timedelta) -> None:
        super().__init__(config=_settings(stage, precision, clip_norm), timeout=timeout)
        self._stage = stage
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
        if self._stage < 3:
            return
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

    def _held(self) -> Held:
        module: Any = self.lightning_module
        kind = Held3 if self._stage == 3 else Held2
        return kind(module.policy, self._engine.optimizer, self.root_device)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        from torch.distributed.checkpoint.state_dict_saver import save

        path, held = Path(self.broadcast(str(filepath))), self._held()
        path.mkdir(parents=True, exist_ok=True)
        save(held.tensors(), checkpoint_id=path)
        if self.is_global_zero:
            rest = {k: v for k, v in checkpoint.items() if k not in ("state_dict", "optimizer_states")}
            rest |= {"shapes": held.shapes(), "optimizer_step": held.step()}
            StreamedFiles().save_checkpoint(rest, path / "meta.pt")

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        from torch.distributed.checkpoint.state_dict_loader import load

        path, held = Path(self.broadcast(str(checkpoint_path))), self._held()
        meta = torch.load(path / "meta.pt", weights_only=True, map_location="cpu")
        held.begin_averages(meta["optimizer_step"])
        tensors = held.tensors()
        load(tensors, checkpoint_id=path)
        held.take(tensors)
        # Lightning restores the schedule, which sets a rate for the step after the next.
        for group, rate in zip(self._engine.optimizer.param_groups, meta["lr_schedulers"][0]["_last_lr"], strict=True):
            group["lr"] = rate
        return meta

    def load_model_state_dict(self, checkpoint: Any, strict: bool = True) -> None:
        pass  # done by `load_checkpoint`


class ZeroPrecision(DeepSpeedPrecision):
    """The engine's arithmetic is in its settings; masks and log-probs of a batch stay in fp32."""

    def __init__(self) -> None:
        super().__init__("32-true")

    def convert_module(self, module: nn.Module) -> nn.Module:
        return module

    def convert_input(self, data: Any) -> Any:
        return data

    def backward(self, tensor: Tensor, model: Any, optimizer: Any, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        model.trainer.model.backward(tensor, *args, **kwargs)


def _settings(stage: int, precision: str, clip_norm: float) -> dict[str, Any]:
    """DeepSpeed's JSON. Gradients are added over passes and ranks in fp32, as elsewhere."""
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": clip_norm,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {"stage": stage, "overlap_comm": True, "contiguous_gradients": True},
        "communication_data_type": "fp32",
        "data_types": {"grad_accum_dtype": "fp32"},
        "bf16": {"enabled": precision == "bf16-true", "check_grad_overflow": False},
        "torch_autocast": {"enabled": precision == "bf16-mixed", "dtype": "bfloat16"},
    }
