"""Loading, refusing, scoring and exporting a policy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist

from iterpref.config import ModelConfig
from iterpref.data.collate import collate
from iterpref.errors import UserError
from iterpref.models.checks import check_head, check_model
from iterpref.models.export import export
from iterpref.models.policy import (
    compile_layers,
    load_model,
    load_tokenizer,
    render_prompts,
    scored_logits,
)
from iterpref.models.shared_prefix import FAMILIES, attention_masks
from iterpref.models.source import resolve_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resolve_model(ModelConfig(source="tiny", hidden=16, layers=1), tmp_path_factory.mktemp("data"), seed=0)


def test_a_tokenizer_without_chat_template_asks_for_plain_prompts() -> None:
    with pytest.raises(UserError, match=r"model\.prompt_format=plain"):
        render_prompts(SimpleNamespace(chat_template=None), ["hello"], ModelConfig(name="m"))
    assert render_prompts(SimpleNamespace(chat_template=None), ["hello"], ModelConfig(prompt_format="plain")) == [
        "hello"
    ]


def test_a_chat_prompt_is_the_user_turn_and_the_opening_of_the_answer(folder: Path) -> None:
    (text,) = render_prompts(load_tokenizer(folder), ["Sort it."], ModelConfig())
    assert text == "<|user|>\nSort it.\n<|assistant|>\n"


def model_with(**config: Any) -> Any:
    settings = SimpleNamespace(**{"model_type": "llama", "max_position_embeddings": 64, **config})
    settings.get_text_config = lambda: settings
    return SimpleNamespace(config=settings)


def test_a_pair_longer_than_the_model_names_the_limits() -> None:
    check_model(model_with(), ModelConfig(), "padded", longest=64)
    with pytest.raises(
        UserError, match=r"65 tokens.*ends at 64.*data\.max_prompt_tokens and data\.max_completion_tokens"
    ):
        check_model(model_with(), ModelConfig(), "padded", longest=65)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "gpt_neox"}, "is a gpt_neox, and shared prefixes are proven for deepseek_v2, "),
        ({"layer_types": ["full_attention", "chunked_attention"]}, "layers of type chunked_attention"),
        ({"rope_parameters": {"rope_type": "dynamic"}}, "depend on the longest sequence"),
        (
            {"model_type": "gemma3_text", "rope_parameters": {"full_attention": {"rope_type": "longrope"}}},
            "RoPE of type longrope",
        ),
    ],
)
def test_shared_packing_is_refused_with_its_reason_where_it_is_not_proven(config: dict[str, Any], reason: str) -> None:
    check_model(model_with(**config), ModelConfig(), "padded", longest=8)
    with pytest.raises(UserError, match=rf"{reason}.*set data\.packing=none"):
        check_model(model_with(**config), ModelConfig(), "shared", longest=8)


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_shared_packing_is_taken_by_the_proven_models(kind: str, tiny_model: Any) -> None:
    check_model(tiny_model(kind), ModelConfig(), "shared", longest=8)


@pytest.mark.parametrize(
    ("kind", "packing"),
    [(k, p) for k in ("llama", "qwen2", "qwen3") for p in ("padded", "shared")] + [("gemma2", "padded")],
)
def test_scored_logits_are_the_full_logits_at_those_rows(
    kind: str, packing: str, tiny_model: Any, make_examples: Any
) -> None:
    model = tiny_model(kind, **({"final_logit_softcapping": 1.5} if kind == "gemma2" else {}))
    batch = collate(make_examples(3), packing=packing, pad_id=0)
    with torch.no_grad():
        full = model(
            input_ids=batch.input_ids_ST,
            position_ids=batch.position_ids_ST,
            attention_mask=attention_masks(model, batch, model.dtype),
        ).logits
        found = scored_logits(model, batch)
    torch.testing.assert_close(found, full.flatten(0, 1)[batch.rows_R], rtol=1e-5, atol=1e-5)
    assert found.shape == (len(batch.rows_R), model.config.vocab_size)
    if kind == "gemma2":
        assert found.abs().max() < 1.5
        assert found.abs().max() > 1.0  # the cap is at work


def test_a_head_that_does_more_than_ours_is_refused(tiny_model: Any) -> None:
    check_head(tiny_model(), "m")
    check_head(tiny_model("gemma2", final_logit_softcapping=1.5), "m")
    check_head(tiny_model("granite", logits_scaling=3.0), "m")
    model = tiny_model()
    layer = model.lm_head
    layer.register_forward_hook(lambda _, inputs, output: output * 2)
    with pytest.raises(UserError, match="does more to its logits"):
        check_head(model, "m")


@pytest.mark.parametrize("packing", ["padded", "shared"])
def test_scoring_works_under_bf16_autocast(packing: str, tiny_model: Any, make_examples: Any) -> None:
    model, batch = tiny_model(), collate(make_examples(2), packing=packing, pad_id=0)
    with torch.no_grad():
        exact = scored_logits(model, batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = scored_logits(model, batch)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_weights_have_the_configured_dtype_whatever_the_file_has(folder: Path, tmp_path: Path) -> None:
    half = load_model(folder, ModelConfig(dtype="bfloat16"))
    assert half.dtype == torch.bfloat16
    half.save_pretrained(tmp_path)
    assert load_model(tmp_path, ModelConfig()).dtype == torch.float32


def test_a_loaded_model_is_in_train_mode_and_can_checkpoint_its_activations(folder: Path, make_examples: Any) -> None:
    torch.set_num_threads(1)
    batch = collate(make_examples(2), packing="shared", pad_id=0)
    gradients = []
    for checkpointing in (False, True):
        model = load_model(folder, ModelConfig(gradient_checkpointing=checkpointing))
        assert model.training
        assert model.is_gradient_checkpointing == checkpointing
        scored_logits(model, batch).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(checkpointed, plain)


def test_a_template_that_leaves_the_prompt_out_is_refused(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    tokenizer.chat_template = "Hello{{ messages[0].role }}"
    with pytest.raises(UserError, match=r"leaves out what the user says: 'Sort it.' became 'Hellouser'.*prompt_format"):
        render_prompts(tokenizer, ["Sort it."], ModelConfig())


def test_weights_that_are_missing_do_not_begin_at_random(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    config = json.loads((other / "config.json").read_text())
    config["num_hidden_layers"] += 1
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"other lacks 9 of the model's weights \(model\.layers\..*begin at random"):
        load_model(other, ModelConfig())


def test_weights_that_were_cut_off_are_no_model(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UserError, match="other holds no model that transformers can read"):
        load_model(other, ModelConfig())


def test_weights_with_a_bit_that_has_changed_are_refused_until_their_checksums_are_gone(
    folder: Path, tmp_path: Path
) -> None:
    out = export(load_model(folder, ModelConfig()), folder, tmp_path / "export")
    load_model(out, ModelConfig())
    weights = out / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(
        UserError, match=r"model\.safetensors has other bits .*iterpref\.convert RUN.*delete .*SHA256SUMS"
    ):
        load_model(out, ModelConfig())
    (out / "SHA256SUMS").unlink()
    load_model(out, ModelConfig())


def test_a_folder_without_model_or_tokenizer_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model that transformers can read"):
        load_model(tmp_path, ModelConfig())
    with pytest.raises(UserError, match="no tokenizer that transformers can read"):
        load_tokenizer(tmp_path)


def test_an_export_is_the_policy_and_replaces_an_older_one_whole(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder, ModelConfig())
    out = tmp_path / "export"
    (tmp_path / ".export.partial").mkdir()
    (tmp_path / ".export.partial" / "half").touch()
    out.mkdir()
    (out / "stale.safetensors").touch()
    with torch.no_grad():
        next(model.parameters()).add_(1)
    assert export(model, folder, out) == out
    assert {path.name for path in tmp_path.iterdir()} == {"export"}
    assert not {"stale.safetensors", "half"} & {path.name for path in out.iterdir()}
    for (name, mine), theirs in zip(
        model.state_dict().items(), load_model(out, ModelConfig()).state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs), name
    text = "def f(x):\n    return x\n"
    assert load_tokenizer(out)(text)["input_ids"] == load_tokenizer(folder)(text)["input_ids"]
    assert load_tokenizer(out).chat_template == load_tokenizer(folder).chat_template


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_under_ddp_layers_are_compiled_whole_and_twice_for_all_lengths(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sizes = tiny_model(num_hidden_layers=4), list[set[int]]()

    def keep(graph: Any, inputs: list[Any]) -> Any:
        sizes.append({value.node.hint for value in inputs if isinstance(value, torch.SymInt)})
        return graph

    def compile_by(module: torch.nn.Module, **how: Any) -> None:
        module._compiled_call_impl = torch.compile(module._call_impl, backend=keep, **how)

    torch._dynamo.reset()
    monkeypatch.setattr(torch.nn.Module, "compile", compile_by)
    compile_layers(model)
    ddp = torch.nn.parallel.DistributedDataParallel(model, bucket_cap_mb=1e-3)
    for length in (5, 7, 11, 13):
        ddp(input_ids=torch.ones(1, length, dtype=torch.long), use_cache=False).logits.sum().backward()
    # A layer, and the norm behind the last one: for one length, and then for any, which is all that is left open.
    assert sizes == [set(), set(), {7}, {7}]
