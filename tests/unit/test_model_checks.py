"""What is told of a model before any work: by its small files, and by its first pass."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, GptOssConfig, MambaConfig, RobertaConfig, RobertaForCausalLM, T5Config

from iterpref.config import Config, ModelConfig
from iterpref.data.datamodule import CodeFlowDataModule
from iterpref.errors import UserError
from iterpref.models.checks import check_architecture, check_head, check_tokens
from iterpref.models.policy import load_tokenizer, resolve_attention
from iterpref.models.source import resolve_model

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = resolve_model(ModelConfig(source="tiny", hidden=16, layers=1), tmp_path / "data", seed=0)
    return Path(shutil.copytree(made, tmp_path / "model"))


def with_config(folder: Path, **values: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


def test_a_vocabulary_beyond_the_models_is_refused_and_a_padded_one_is_not(folder: Path) -> None:
    check_tokens(folder, ModelConfig())
    known = AutoConfig.from_pretrained(folder).vocab_size
    check_tokens(with_config(Path(shutil.copytree(folder, f"{folder}-padded")), vocab_size=known + 64), ModelConfig())
    small = with_config(Path(shutil.copytree(folder, f"{folder}-small")), vocab_size=known - 1)
    with pytest.raises(UserError, match=rf"id {known - 1}, but its model knows {known - 1} tokens"):
        check_tokens(small, ModelConfig())


def test_an_added_token_beyond_the_embeddings_matters_where_a_prompt_has_it(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|image|>"]})
    tokenizer.save_pretrained(folder)
    check_tokens(folder, ModelConfig())
    tokenizer.chat_template = "<|image|>" + tokenizer.chat_template
    tokenizer.save_pretrained(other := folder.with_name("other"))
    shutil.copy(folder / "config.json", other)
    with pytest.raises(UserError, match="<|image|>.*resize_token_embeddings"):
        check_tokens(other, ModelConfig())


def test_a_model_that_cannot_be_trained_is_refused_before_any_program_runs(folder: Path, tmp_path: Path) -> None:
    config = Config()
    config.paths.data = str(tmp_path / "fresh")
    config.model = ModelConfig(name="mine", source="pretrained", path=str(folder))
    with_config(folder, model_type="gpt_neox")
    with pytest.raises(UserError, match=r"mine is a gpt_neox.*set data\.packing=none"):
        CodeFlowDataModule(config).prepare_data()
    (folder / "chat_template.jinja").unlink()
    config.data.packing = "none"
    with pytest.raises(UserError, match=r"model\.prompt_format=plain"):
        CodeFlowDataModule(config).prepare_data()
    assert not (tmp_path / "fresh").exists()


def test_an_encoder_with_a_decoder_is_no_causal_model(tmp_path: Path) -> None:
    T5Config().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is a t5, which transformers knows no causal language model of"):
        check_architecture(tmp_path, ModelConfig(), "none")


def test_a_model_whose_tokens_see_what_follows_is_refused() -> None:
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    check_head(RobertaForCausalLM(RobertaConfig(**sizes, is_decoder=True, initializer_range=0.5)).eval(), "m")
    with pytest.raises(UserError, match="m is a roberta whose tokens see those that follow"):
        check_head(RobertaForCausalLM(RobertaConfig(**sizes, initializer_range=0.5)).eval(), "m")


@pytest.mark.parametrize("config", [GptOssConfig(), MambaConfig()])
def test_a_model_that_transformers_has_no_sdpa_for_runs_by_its_own_code(config: Any, tmp_path: Path) -> None:
    config.save_pretrained(tmp_path)
    assert resolve_attention(ModelConfig(), "none", CPU, tmp_path) == "eager"
