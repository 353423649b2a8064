"""What DeepSpeed's ZeRO holds of each trained parameter, as flat tensors of a checkpoint: the weight, in fp32, and AdamW's averages.

A checkpoint has the same names and sizes whatever the stage and the number of ranks, so that another can read it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from iterpref.models.adapters import trained_only

_AVERAGES = ("exp_avg", "exp_avg_sq")


class Held(ABC):
    """Of a model, by ZeRO's optimizer, on this rank's device. All ranks must call what is here."""

    def __init__(self, model: nn.Module, zero: Any, device: torch.device) -> None:
        self._zero, self._device = zero, device
        self._named: list[tuple[str, Any]] = list(trained_only(model, model.state_dict(keep_vars=True)).items())

    def tensors(self) -> dict[str, Any]:
        """Flat, by the names of a checkpoint; what ZeRO does not hold (a buffer) as it is."""
        found: dict[str, Any] = {}
        averages = _AVERAGES if self.step() else ()
        for name, tensor in self._named:
            if not self._holds(tensor):
                found[f"state_dict.policy.{name}"] = tensor
                continue
            found[f"state_dict.policy.{name}"] = self._flat(tensor, None)
            for key in averages:
                found[f"optimizer_0.{name}.{key}"] = self._flat(tensor, key)
        return found

    def take(self, tensors: dict[str, Any]) -> None:
        """The other way round: into parameters and averages."""
        for name, tensor in self._named:
            if self._holds(tensor):
                self._put(tensor, None, tensors[f"state_dict.policy.{name}"])
                for key in _AVERAGES:
                    if (average := tensors.get(f"optimizer_0.{name}.{key}")) is not None:
                        self._put(tensor, key, average)

    def shapes(self) -> dict[str, list[int]]:
        return {f"policy.{name}": list(getattr(t, "ds_shape", t.shape)) for name, t in self._named}

    def step(self) -> int:
        """Steps that the optimizer has done."""
        states = [self._zero.optimizer.state.get(flat) for flat in self._groups()]
        return int(states[0]["step"]) if states[0] else 0

    def begin_averages(self, step: int) -> None:
        """Averages of zeros, as after `step` steps; none for 0."""
        for flat in self._groups() if step else ():
            self._zero.optimizer.state[flat] = {
                "step": torch.tensor(float(step), device=flat.device),
                **{key: torch.zeros_like(flat) for key in _AVERAGES},
            }

    @abstractmethod
    def _groups(self) -> list[Tensor]:
        """This rank's flat fp32 parameters, which the optimizer steps."""

    @abstractmethod
    def _holds(self, tensor: Any) -> bool:
        pass

    @abstractmethod
    def _flat(self, parameter: Any, key: str | None) -> Tensor:
        """The average `key`, or the weight (None)."""

    @abstractmethod
    def _put(self, parameter: Any, key: str | None, flat: Any) -> None:
        pass


class Held3(Held):
    """Of stage 3: each rank has a part of every parameter."""

    def _groups(self) -> list[Tensor]:
        return self._zero.fp32_partitioned_groups_flat

    def _holds(self, tensor: Any) -> bool:
        return hasattr(tensor, "ds_id")

    def _flat(self, parameter: Any, key: str | None) -> Tensor:
        from deepspeed.utils import safe_get_local_fp32_param, safe_get_local_optimizer_state
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import DTensor, Shard

        local = safe_get_local_optimizer_state(parameter, key) if key else safe_get_local_fp32_param(parameter)
        # DeepSpeed's last shard is padded, torch's is short.
        begin = min(torch.distributed.get_rank() * local.numel(), parameter.ds_numel)
        own = local[: min(local.numel(), parameter.ds_numel - begin)].to(self._device)
        mesh = init_device_mesh(self._device.type, (torch.distributed.get_world_size(),))
        return DTensor.from_local(own, mesh, [Shard(0)], shape=torch.Size([parameter.ds_numel]), stride=(1,))

    def _put(self, parameter: Any, key: str | None, flat: Any) -> None:
        from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

        own = flat.to_local()
        own = pad(own, (0, parameter.ds_tensor.numel() - own.numel()))
        if key:
            safe_set_local_optimizer_state(parameter, own, key)
            return
        safe_set_local_fp32_param(parameter, own)
        parameter.ds_tensor.data.copy_(own)


class Held2(Held):
    """Of stage 2: weights are whole on each rank; their fp32 copies and averages lie one behind the other, cut anywhere."""

    def _groups(self) -> list[Tensor]:
        return self._zero.single_partition_of_fp32_groups

    def _holds(self, tensor: Any) -> bool:
        return hasattr(tensor, "_hp_mapping")

    def tensors(self) -> dict[str, Any]:
        # DeepSpeed shows each parameter its part when the first group has averages, and the others have none.
        if self.step():
            self._zero._hp_optimizer_states_linked = False
            self._zero._lazy_init_hp_params_optimizer_state()
        return super().tensors()

    def _flat(self, parameter: Any, key: str | None) -> Tensor:
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        whole = safe_get_full_optimizer_state(parameter, key) if key else safe_get_full_fp32_param(parameter)
        return whole.flatten().cpu()

    def _put(self, parameter: Any, key: str | None, flat: Any) -> None:
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        whole = flat.to(self._device).view(parameter.shape)
        if key:
            safe_set_full_optimizer_state(parameter, whole, key)
            return
        safe_set_full_fp32_param(parameter, whole)
        parameter.data.copy_(whole)


def gathered(model: nn.Module) -> dict[str, Tensor]:
    """The model's state on the CPU of rank 0, parameter by parameter; all ranks must call it."""
    import deepspeed

    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        with deepspeed.zero.GatheredParameters([tensor] if hasattr(tensor, "ds_id") else []):
            if torch.distributed.get_rank() == 0:
                state[name] = tensor.detach().to("cpu", copy=True)
    return state
