"""One rank of `iterpref.bench.scaling`: the cells of its job, one after the other; a file of JSON for each."""

from __future__ import annotations

import argparse
import csv
import gc
import hashlib
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

import iterpref.models
from iterpref.batch import Batch
from iterpref.bench.code_pairs import code_pairs, read_pairs, tokenised
from iterpref.bench.step import floor_s
from iterpref.bench.step_ours import SHAPES, Shape, bench_config, run, with_reference
from iterpref.bench.timing import product_rate
from iterpref.config import Config
from iterpref.config.training import ZERO
from iterpref.data.collate import PARTS, collate, trie_tokens
from iterpref.data.loader import PairLoader
from iterpref.launch import die_with_parent, enter, rank, world_size
from iterpref.losses import loss_terms
from iterpref.models.module import FocalDPOModule
from iterpref.models.policy import load_tokenizer
from iterpref.schema import Example, PreferencePair
from iterpref.train import build_trainer

_TIMEOUT_S = 120.0
_TOKENIZER = Path(iterpref.models.__path__[0]) / "tiny"
# Of the equality: three steps, of eight, eight and five pairs, two in a pass on average.
_PAIRS, _GLOBAL, _PASS = 21, 8, 2


def examples_of(said: dict[str, Any]) -> tuple[list[PreferencePair], list[Example]]:
    """The pairs of a timed run, as texts and as tokens: the same for all devices and peers."""
    wanted = (said["global_batch"] or said["pairs"] * said.get("devices", 1)) * said["steps"]
    pairs = read_pairs(Path(said["pairs_file"]), wanted) if said["pairs_file"] else code_pairs(wanted)
    return pairs, tokenised(pairs, load_tokenizer(Path(said["tokenizer"])), bench_config(1))


def step(cell: dict[str, Any]) -> dict[str, Any]:
    """`step_ours.run` of the cell's shape and options."""
    config = bench_config(
        cell["pairs"], compiled=cell["compiled"], lora=cell.get("lora", 0), global_batch=cell["global_batch"],
        devices=cell["devices"], strategy=cell["strategy"], timeout_s=_TIMEOUT_S,
    )  # fmt: skip
    config.optim.rounding = cell.get("rounding", "nearest")
    shape, rate = SHAPES[cell["shape"]], product_rate(20)
    result = run(shape, examples_of(cell)[1], config, dealt=cell["global_batch"] is not None)
    if not config.model.lora.rank:
        passes = config.data.global_batch / (cell["pairs"] * cell["devices"])
        result["floor_share"] = passes * floor_s(shape, result, rate) / result["step_s"]
    return {**{k: v for k, v in result.items() if v is not None}, "gemm_tflops": rate / 1e12}


class Kept(L.Callback):
    """The gradient of the first step, and the weights before and after, whole and on the CPU."""

    def __init__(self, strategy: str) -> None:
        self._strategy = strategy
        self.gradients: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self.before: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.before = self._whole(pl_module.policy)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if trainer.global_step == 0:
            self.gradients = {n: _cpu(_gradient(p, self._strategy)) for n, p in pl_module.policy.named_parameters()}

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.weights = self._whole(pl_module.policy)

    def _whole(self, policy: nn.Module) -> dict[str, Tensor]:
        if self._strategy != "deepspeed_3":
            return {n: _cpu(p.detach()) for n, p in policy.named_parameters()}
        import deepspeed

        found = {}
        for name, parameter in policy.named_parameters():
            with deepspeed.zero.GatheredParameters([parameter]):
                found[name] = _cpu(parameter.detach())
        return found


def _gradient(parameter: Any, strategy: str) -> Tensor:
    if strategy in ZERO:
        from deepspeed.utils import safe_get_full_grad

        return safe_get_full_grad(parameter)
    return parameter.grad


def _cpu(tensor: Any) -> Tensor:
    whole = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return whole.float().to("cpu", copy=True)


def equality(cell: dict[str, Any]) -> dict[str, Any]:
    """Three steps of a small model in fp32; rank 0 keeps tensors for the comparison under `cell["keep"]`."""
    device = "cpu" if cell["cpu"] else "cuda"
    config = _equality_config(cell, device)
    tokenizer = load_tokenizer(_TOKENIZER)
    shape = Shape(256, 1024, 4, 4, 2, True, len(tokenizer))
    # Not FlexAttention, whose kernels take most of a minute to compile: what is compared is how gradients are shared.
    policy = shape.model("sdpa", device).float().train()
    layout = partial(collate, packing="shared", pad_id=0, one_row=True, parts=PARTS)
    examples = tokenised(code_pairs(_PAIRS), tokenizer, config)
    cached, _ = with_reference(policy, examples, layout, _PASS)
    terms = loss_terms(config.loss)

    def make_batch(group: list[Example], step_pairs: int) -> Batch:
        return layout(group, step_pairs=step_pairs, terms=terms)

    loader = PairLoader(
        cached, make_batch, global_batch=_GLOBAL, micro_batch=_PASS, seed=0, rank=rank(), world_size=world_size(config.trainer),
        cost=partial(trie_tokens, terms=terms),
    )  # fmt: skip
    kept = Kept(cell["strategy"])
    with tempfile.TemporaryDirectory() as folder:
        trainer: Any = build_trainer(config, Path(folder), device, len(cached))
        trainer.callbacks.append(kept)
        trainer.fit(FocalDPOModule(config, policy, total_steps=3), loader)
        lines = _lines(Path(folder) / "metrics.csv")
    if rank() == 0:
        tensors = {"gradients": kept.gradients, "weights": kept.weights, "before": kept.before}
        torch.save(tensors, cell["keep"])
    digest = hashlib.sha256()
    for tensor in kept.weights.values():
        digest.update(tensor.numpy().tobytes())
    return {"digest": digest.hexdigest(), **lines}


def _equality_config(cell: dict[str, Any], device: str) -> Config:
    config = bench_config(
        _PASS, compiled=cell["compiled"], devices=cell["devices"], strategy=cell["strategy"], timeout_s=_TIMEOUT_S, precision="32-true", epochs=1,
    )  # fmt: skip
    config.trainer.accelerator = "gpu" if device == "cuda" else "cpu"
    config.model.dtype, config.data.global_batch = "float32", _GLOBAL
    config.optim.lr, config.loss.alpha = 1e-3, 1.0
    return config


def _lines(file: Path) -> dict[str, list[float]]:
    """Losses and norms as logged; none on other ranks than the first."""
    if not file.is_file():
        return {}
    with file.open(newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row.get("train/loss")]
    return {"losses": [float(r["train/loss"]) for r in rows], "norms": [float(r["train/grad_norm"]) for r in rows]}


def main() -> None:
    parser = argparse.ArgumentParser(description="One rank of iterpref.bench.scaling, which starts it.")
    parser.add_argument("job", type=Path, help="cells to measure")
    parser.add_argument("launched", help="what iterpref.launch adds")
    job = parser.parse_args().job
    die_with_parent()
    cells = json.loads(job.read_text())["cells"]
    config = Config()
    config.trainer.devices = cells[0]["devices"]
    enter(config.trainer)
    for number, cell in enumerate(cells):
        try:
            result = {"step": step, "equality": equality}[cell["what"]](cell)
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
            if cell["devices"] > 1:  # the others wait in an exchange
                _say(job, number, result)
                raise
        _say(job, number, result)
        gc.collect()
        torch._dynamo.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _say(job: Path, number: int, result: dict[str, Any]) -> None:
    (job.parent / f"{number}-{rank()}.json").write_text(json.dumps(result))
    if rank() == 0:  # at once: the report comes when all cells have ended
        print(f"cell {number}: {json.dumps(result)}", flush=True)


if __name__ == "__main__":
    main()
