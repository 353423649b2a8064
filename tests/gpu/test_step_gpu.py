"""The step on a GPU: block masks mean what dense masks mean, nothing waits for the device, and runs repeat."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from iterpref.batch import Batch
from iterpref.config import Config
from iterpref.config.training import compiles
from iterpref.data.collate import collate
from iterpref.data.loader import PairLoader
from iterpref.losses import combine, loss_terms, pair_sums
from iterpref.models.graphs import StepGraphs
from iterpref.models.module import FocalDPOModule
from iterpref.models.policy import compile_layers, score_rows
from iterpref.models.shared_prefix import attend_apart, register_flex
from iterpref.strategies import Scorer, shard
from iterpref.train import build_trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SIZES = {
    "hidden_size": 192, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2,
    "head_dim": 32, "max_position_embeddings": 2048, "vocab_size": 512,
}  # fmt: skip
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {}),
    "mistral, window 40": ("mistral", {"sliding_window": 40}),
    "starcoder2": ("starcoder2", {}),
    "gemma": ("gemma", {}),
    "gemma2, window 30": (
        "gemma2",
        {"sliding_window": 30, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 3.0},
    ),
    "gemma3, window 30": (
        "gemma3_text",
        {"sliding_window": 30, "layer_types": ["sliding_attention", "full_attention"]},
    ),
}
TERMS = loss_terms(Config().loss)


def loss_of(model: Any, batch: Batch, backend: str = "auto") -> Tensor:
    batch = batch.to("cuda")
    ratios = model(batch, None, backend) if isinstance(model, Scorer) else score_rows(model, batch, None, backend)
    config = Config().loss
    config.nll = "mean"
    return combine(pair_sums(ratios, batch), config, batch.step_pairs).loss


def gradients(model: Any, batch: Batch, backend: str = "auto") -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    loss = loss_of(model, batch, backend)
    loss.backward()
    return loss.detach().double(), {n: p.grad.double().clone() for n, p in model.named_parameters()}


def distance(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    off = sum((found[n].to(wanted[n].device) - wanted[n]).square().sum().item() for n in wanted)
    return (off / sum(g.square().sum().item() for g in wanted.values())) ** 0.5


@pytest.fixture
def build(tiny_model: Any) -> Any:
    def made(kind: str, dtype: torch.dtype, attention: str, scale: float = 0.3, **settings: Any) -> Any:
        model = tiny_model(kind, torch.float64, **{**SIZES, **settings})
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(scale)
        model.set_attn_implementation(register_flex() if attention == "flex" else attention)
        return model.to("cuda", dtype)

    return made


@pytest.mark.parametrize("variant", VARIANTS)
def test_block_masks_give_the_loss_and_every_gradient_of_sequences_run_alone(
    variant: str, build: Any, make_examples: Any
) -> None:
    kind, settings = VARIANTS[variant]
    examples = make_examples(6, vocabulary=512, longest=60)
    plain = build(kind, torch.float32, "eager" if kind == "gemma2" else "sdpa", **settings)
    loss, wanted = gradients(plain, collate(examples, packing="none", pad_id=0))
    flex = build(kind, torch.float32, "flex", **settings)
    batch = collate(examples, packing="shared", pad_id=0, terms=TERMS, one_row=True, parts=16)
    found, gradient = gradients(flex, batch)
    assert found.item() == pytest.approx(loss.item(), rel=1e-5)
    for name in wanted:
        assert distance({name: gradient[name]}, {name: wanted[name]}) < 1e-3, name
    assert distance(gradient, wanted) < 1e-4


@pytest.mark.parametrize("compiled", [False, True])
def test_in_bf16_the_shared_row_is_no_further_from_fp64_than_padded_rows(
    compiled: bool, build: Any, make_examples: Any
) -> None:
    torch._dynamo.reset()
    examples = make_examples(8, vocabulary=512, longest=60)
    exact = build("qwen2", torch.float64, "eager")
    loss, wanted = gradients(exact, collate(examples, packing="none", pad_id=0), "torch")
    padded = build("qwen2", torch.bfloat16, "sdpa")
    near, gradient = gradients(padded, collate(examples, packing="padded", pad_id=0))
    shared = build("qwen2", torch.bfloat16, "flex")
    if compiled:
        compile_layers(shared)
    batch = collate(examples, packing="shared", pad_id=0, terms=TERMS, one_row=True, parts=16)
    found, ours = gradients(shared, batch)
    assert distance(ours, wanted) <= 1.1 * distance(gradient, wanted)
    assert abs(found - loss) <= 1.5 * abs(near - loss) + 1e-3 * abs(loss)


@pytest.mark.parametrize("way", ["none", "layers", "apart"])
def test_two_lengths_of_rows_compile_what_all_others_run_wherever_a_row_ends(
    way: str, build: Any, make_examples: Any
) -> None:
    torch._dynamo.reset()
    plain, flex = build("qwen2", torch.float32, "sdpa"), build("qwen2", torch.float32, "flex")
    if way != "none":
        compile_layers(flex)
    if way == "apart":
        attend_apart(flex)
    compiled = []
    for longest, parts in ((60, 16), (90, None), (120, 16), (150, None), (200, None)):
        examples = make_examples(6, vocabulary=512, longest=longest)
        batch = collate(examples, packing="shared", pad_id=0, terms=TERMS, one_row=True, parts=parts)
        assert parts or batch.input_ids_ST.shape[1] % 128
        found = gradients(flex, batch)[1]
        assert distance(found, gradients(plain, collate(examples, packing="none", pad_id=0))[1]) < 1e-4, longest
        compiled.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    # That the second row ends within a block, and others do not, is one more compilation.
    assert compiled[-1] == compiled[2], compiled


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Any]:
    """A group of this process alone."""
    dist.init_process_group("nccl", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield dist.init_device_mesh("cuda", (1,))
    dist.destroy_process_group()


def test_shards_with_compiled_layers_are_no_further_from_fp64_than_the_whole_model(
    build: Any, make_examples: Any, mesh: Any
) -> None:
    torch._dynamo.reset()
    exact, whole, cut = (build("qwen2", t, a) for t, a in ((torch.float64, "eager"), *[(torch.bfloat16, "flex")] * 2))
    for model in (whole, cut):
        compile_layers(model)
    scorer = Scorer(cut)
    shard(scorer, mesh)
    for longest in (60, 200):  # two lengths of rows
        examples = make_examples(8, vocabulary=512, longest=longest)
        batch = collate(examples, packing="shared", pad_id=0, terms=TERMS, one_row=True, parts=16).to("cuda")
        _, wanted = gradients(exact, collate(examples, packing="none", pad_id=0), "torch")
        near = gradients(whole, batch)[1]
        loss_of(scorer, batch).backward()
        found = {n: p.grad.full_tensor().double() for n, p in cut.named_parameters()}
        assert distance(found, wanted) <= 1.1 * distance(near, wanted)
        scorer.zero_grad()


def test_graphs_are_recorded_beside_an_exchange_and_their_gradients_add_up_over_ranks(
    build: Any, make_examples: Any, mesh: Any
) -> None:
    model, plain = (build("qwen2", torch.float32, "flex") for _ in range(2))

    def whole_pass(batch: Batch) -> tuple[Tensor, ...]:
        loss = loss_of(model, batch)
        loss.backward()
        return (loss.detach(),)

    graphs = StepGraphs(whole_pass, model.parameters(), adds_up=True)
    batches = [
        collate(make_examples(4, seed=seed, vocabulary=512, longest=60), packing="shared", pad_id=0, terms=TERMS, one_row=True, parts=16).to("cuda")
        for seed in range(2)
    ]  # fmt: skip
    for _ in range(3):  # as they are, recorded, replayed
        graphs(batches[0], begins=True)
        graphs(batches[1], begins=False)
        graphs.add_over_ranks()
    wanted = [gradients(plain, batch)[1] for batch in batches]
    for name, p in model.named_parameters():
        assert distance({name: p.grad.double()}, {name: wanted[0][name] + wanted[1][name]}) < 1e-4, name


def test_a_neighbour_in_the_row_changes_no_bit(build: Any, make_examples: Any) -> None:
    model = build("llama", torch.bfloat16, "flex")
    mine, *others = make_examples(6, vocabulary=512, longest=60)
    results = []
    for seed in (1, 2):
        generator = torch.Generator().manual_seed(seed)
        batch = collate([mine, *others], packing="shared", pad_id=0, terms=TERMS, one_row=True, parts=16)
        first = (batch.position_ids_ST[0] == 0).nonzero()[1].item()  # where the second pair begins
        ids = batch.input_ids_ST
        ids[0, first:] = torch.randint(2, 512, ids[0, first:].shape, generator=generator)
        rows = (batch.rows_R < first).to("cuda")
        with torch.no_grad():
            results.append(score_rows(model, batch.to("cuda"), None, "auto").policy_logps_R[rows])
    assert len(results[0])
    assert torch.equal(*results)


def config_of(**trainer: Any) -> Config:
    config = Config(reference="live")
    config.trainer.epochs, config.trainer.accelerator = 3, "gpu"
    config.data.packing, config.data.global_batch, config.data.micro_batch = "shared", 4, 4
    config.logger.wandb, config.optim.lr = "disabled", 1e-3
    config.data.micro_batch = trainer.pop("micro_batch", 4)
    for name, value in trainer.items():
        setattr(config.trainer, name, value)
    return config


def fit(
    config: Config, build: Any, make_examples: Any, folder: Path, *callbacks: L.Callback, seed: int | None = 0,
    validates: bool = False,
) -> dict[str, Tensor]:  # fmt: skip
    """Three epochs of six steps of the real trainer on rows of changing length; the weights after them."""
    models = [build("qwen2", torch.float32, "flex") for _ in range(2)]
    if compiles(config.trainer):
        for model in models:
            compile_layers(model)

    def make_batch(examples: list[Any], step_pairs: int) -> Batch:
        return collate(
            examples, packing="shared", pad_id=0, step_pairs=step_pairs, terms=TERMS, one_row=True, parts=16
        ).pin_memory()

    examples = make_examples(24, vocabulary=512, longest=60)
    sizes = {"global_batch": 4, "micro_batch": config.data.micro_batch, "prefetch": 2}
    loader = PairLoader(examples, make_batch, seed=seed, **sizes)
    module = FocalDPOModule(config, models[0].train(), models[1], total_steps=18)
    trainer = build_trainer(config, folder, "cuda", 24)
    trainer.callbacks = [c for c in trainer.callbacks if not hasattr(c, "save_top_k")] + list(callbacks)
    trainer.fit(module, loader, PairLoader(examples[:8], make_batch, seed=None, **sizes) if validates else None)
    assert trainer.global_step == 18
    return {name: value.clone() for name, value in module.policy.state_dict().items()}


class NoWaiting(L.Callback):
    """In the third epoch, whose batches are those of the others, an operation that waits for the device is an error."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 12:
            torch.cuda.set_sync_debug_mode("error")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        torch.cuda.set_sync_debug_mode("default")

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("compiled", ["none", "layers", "graphs", "replay"])
def test_no_step_waits_for_the_device_and_each_is_logged(
    compiled: str, build: Any, make_examples: Any, tmp_path: Path
) -> None:
    fit(config_of(compile=compiled), build, make_examples, tmp_path, NoWaiting(), seed=None)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert len(lines) == 19
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    assert [int(row["step"]) for row in rows] == list(range(18))
    for name in ("train/loss", "train/margin", "train/grad_norm", "train/lr", "train/pairs_per_s", "train/peak_gib"):
        assert all(math.isfinite(float(row[name])) for row in rows), name
    assert all(float(row["train/pairs_per_s"]) > 0 for row in rows)


def test_two_deterministic_runs_are_equal_to_the_bit(build: Any, make_examples: Any, tmp_path: Path) -> None:
    runs = []
    for name in ("a", "b"):
        L.seed_everything(0, verbose=False)
        try:
            runs.append(fit(config_of(deterministic=True), build, make_examples, tmp_path / name))
        finally:
            torch.use_deterministic_algorithms(False)
    for name in runs[0]:
        assert torch.equal(runs[0][name], runs[1][name]), name


@pytest.mark.parametrize("micro_batch", [2, 4])  # gradients add up in a place of their own, or lie in a graph's memory
@pytest.mark.parametrize(("precision", "near"), [("32-true", 1e-4), ("bf16-mixed", 2e-2)])
def test_compiled_layers_and_graphs_train_as_plain_layers_do_behind_a_validation_too(
    precision: str, near: float, micro_batch: int, build: Any, make_examples: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    torch._dynamo.reset()
    curves, recorded, record = {}, [], StepGraphs._record
    monkeypatch.setattr(StepGraphs, "_record", lambda graphs, batch: recorded.append(batch) or record(graphs, batch))
    for compiled in ("none", "layers", "graphs", "replay"):
        recorded.clear()
        config = config_of(compile=compiled, precision=precision, micro_batch=micro_batch)
        fit(config, build, make_examples, tmp_path / compiled, validates=True, seed=None)
        assert bool(recorded) == (compiled in ("graphs", "replay"))
        with (tmp_path / compiled / "metrics.csv").open(newline="") as handle:
            steps = [row for row in csv.DictReader(handle) if row["train/loss"]]
        curves[compiled] = [(float(row["train/loss"]), float(row["train/grad_norm"])) for row in steps]
    for compiled in ("layers", "graphs", "replay"):
        # Adam turns rounding into steps: the curves part, but slowly.
        for step in range(18):
            for found, wanted in zip(curves[compiled][step], curves["none"][step], strict=True):
                assert found == pytest.approx(wanted, rel=near * (1 + step) ** 2), (compiled, step)


def test_ddp_of_one_device_trains_as_a_device_alone_does(
    build: Any, make_examples: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = config_of(precision="32-true", micro_batch=2)
    alone = fit(config, build, make_examples, tmp_path / "alone", validates=True)
    request.getfixturevalue("one_process_ddp")
    shared = fit(config, build, make_examples, tmp_path / "ddp", validates=True)
    for name in alone:
        assert torch.allclose(shared[name], alone[name], rtol=1e-2, atol=1e-4), name
