"""Batched greedy answers against transformers' own `generate`, one prompt at a time, on a tiny random Llama."""

from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

from iterpref.errors import UserError
from iterpref.eval import generation
from iterpref.eval.generation import generate, greedy

END = "<|end|>"
PROMPTS = [
    "def f",
    "def f(x): return x\n",
    f"user: hi{END}\nassistant: ",
    "a",
    f"{END}{END}",
    "x = 1; y = x + 2\n" * 4,
    "a b",
]
TINY = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    # Wide weights: the rollouts wander instead of repeating one token.
    "initializer_range": 0.6,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": None,
}


@pytest.fixture(scope="module")
def tokenizer():
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        ["def f(x): return x"], trainers.BpeTrainer(vocab_size=300, special_tokens=[END], initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END, pad_token=None)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**TINY)).eval()


def alone(model, ids, max_new_tokens, ends):
    """transformers' greedy rollout of one prompt: no padding, no batch."""
    config = GenerationConfig(do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=sorted(ends), pad_token_id=0)
    inputs = torch.tensor([ids])
    out = model.generate(input_ids=inputs, attention_mask=torch.ones_like(inputs), generation_config=config)[
        0, len(ids) :
    ].tolist()
    return out[:-1] if out[-1] in ends else out


def ends_of(model, ids, at):
    """End tokens that stop each prompt's rollout at a step of its own: `at[i]`, or earlier."""
    return {alone(model, row, 40, {299})[step] for row, step in zip(ids, at, strict=True) if step is not None}


def test_every_row_equals_the_rollout_of_its_prompt_alone(model, tokenizer):
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    ends = ends_of(model, ids, [5, 30, None, 0, 12, 20, None]) | {0}
    with torch.inference_mode():
        rows = greedy(model, ids, 40, ends)
    assert rows == [alone(model, row, 40, ends) for row in ids]
    lengths = [len(row) for row in rows]
    assert min(lengths) == 0  # one ends at once
    assert len(set(lengths)) > 3  # and rows leave the batch one after another


def test_the_cache_grows_past_its_first_room(model, tokenizer, monkeypatch):
    monkeypatch.setattr(generation, "_ROOM", 3)
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    ends = ends_of(model, ids, [5, None, None, 0, 12, 20, None])
    with torch.inference_mode():
        assert greedy(model, ids, 20, ends) == [alone(model, row, 20, ends) for row in ids]


def test_sliding_window_layers_keep_their_own_cache(tokenizer):
    torch.manual_seed(1)
    model = MistralForCausalLM(MistralConfig(**TINY, sliding_window=8)).eval()
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    ends = ends_of(model, ids, [4, None, None, 0, 9, None, None])
    with torch.inference_mode():
        assert greedy(model, ids, 20, ends) == [alone(model, row, 20, ends) for row in ids]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_answers_come_in_the_order_of_the_prompts(model, tokenizer, batch_size):
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    expected = [tokenizer.decode(alone(model, row, 16, {0}), skip_special_tokens=True) for row in ids]
    assert generate(model, tokenizer, PROMPTS, max_new_tokens=16, batch_size=batch_size) == expected
    assert len(set(expected)) == len(expected)


def test_padding_that_equals_the_end_token_hides_no_end_token_in_a_prompt(model, tokenizer):
    without = generate(model, tokenizer, PROMPTS, max_new_tokens=8, batch_size=4)
    assert tokenizer.pad_token is None
    padding = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token=END, pad_token=END)
    assert generate(model, padding, PROMPTS, max_new_tokens=8, batch_size=4) == without


def test_the_end_tokens_of_the_generation_config_count_too(model, tokenizer, monkeypatch):
    (ids,) = tokenizer(["def f"], add_special_tokens=False)["input_ids"]
    stop = alone(model, ids, 16, {0})[6]
    monkeypatch.setattr(model.generation_config, "eos_token_id", [299, stop])
    expected = tokenizer.decode(alone(model, ids, 16, {0, stop}))
    assert generate(model, tokenizer, ["def f"], max_new_tokens=16, batch_size=1) == [expected]


def test_each_batch_tells_its_answers_and_tokens(model, tokenizer):
    told = []
    generate(
        model,
        tokenizer,
        PROMPTS,
        max_new_tokens=4,
        batch_size=3,
        on_batch=lambda answers, tokens: told.append((answers, tokens)),
    )
    assert [answers for answers, _ in told] == [3, 3, 1]
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    assert sum(tokens for _, tokens in told) == sum(len(alone(model, row, 4, {0})) for row in ids)


def test_the_model_is_left_as_it_was(model, tokenizer):
    model.train()
    model.lm_head.eval()
    model.config.use_cache = False
    try:
        generate(model, tokenizer, ["a"], max_new_tokens=2, batch_size=1)
        assert model.training
        assert model.model.layers[0].training
        assert not model.lm_head.training
        assert model.config.use_cache is False
        assert all(p.requires_grad and not p.is_inference() for p in model.parameters())
    finally:
        model.config.use_cache = True
        model.eval()


def test_modes_are_put_back_after_a_failure(model, tokenizer):
    def stop(answers, tokens):
        raise KeyboardInterrupt

    model.train()
    try:
        with pytest.raises(KeyboardInterrupt):
            generate(model, tokenizer, ["a"], max_new_tokens=2, batch_size=1, on_batch=stop)
        assert model.training
    finally:
        model.eval()


def test_autocast_reaches_the_forward_pass(model, tokenizer):
    seen = []
    hook = model.lm_head.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    try:
        generate(model, tokenizer, PROMPTS, max_new_tokens=3, batch_size=7, autocast_dtype=torch.bfloat16)
        generate(model, tokenizer, ["a"], max_new_tokens=1, batch_size=1)
    finally:
        hook.remove()
    assert set(seen[:-1]) == {torch.bfloat16}
    assert seen[-1] == torch.float32


def test_nothing_is_warned_about(model, tokenizer, recwarn, caplog):
    generate(model, tokenizer, PROMPTS, max_new_tokens=3, batch_size=2)
    assert not recwarn.list
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_no_prompt_needs_no_model(tokenizer):
    assert generate(None, tokenizer, [], max_new_tokens=3, batch_size=2) == []


def test_an_empty_prompt_is_refused(model, tokenizer):
    with pytest.raises(UserError, match="prompt 1 has no token"):
        generate(model, tokenizer, ["a", ""], max_new_tokens=3, batch_size=2)


def test_a_prompt_longer_than_the_context_is_refused_before_any_work(model, tokenizer):
    long = "a b " * 80
    length = len(tokenizer(long)["input_ids"])
    room = TINY["max_position_embeddings"] - length
    generate(model, tokenizer, ["a", long], max_new_tokens=room, batch_size=2)
    with pytest.raises(UserError, match=rf"prompt 1 has {length} tokens, .* with {room + 1} new.*max_new_tokens"):
        generate(SimpleNamespace(config=model.config), tokenizer, ["a", long], max_new_tokens=room + 1, batch_size=2)
