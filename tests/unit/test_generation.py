"""Batched greedy answers against transformers' own `generate`, one prompt at a time, on a tiny random Llama."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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
from iterpref.models import decoding, recorded
from iterpref.models.decoding import Stops, roll_out
from iterpref.models.generation import batches_by_length, generate
from iterpref.models.sampling import GREEDY, Draw, Sampling, inverse

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


def rolled_out(model, tokenizer, ids, max_new_tokens, ends):
    """All prompts in one batch, greedily."""
    with torch.inference_mode():
        rows = dict(roll_out(model, ids, max_new_tokens, ends, Draw(GREEDY, range(len(ids))), Stops(tokenizer)))
    return [rows[i] for i in range(len(ids))]


def ends_of(model, ids, at):
    """End tokens that stop each prompt's rollout at a step of its own: `at[i]`, or earlier."""
    return {alone(model, row, 40, {299})[step] for row, step in zip(ids, at, strict=True) if step is not None}


def test_every_row_equals_the_rollout_of_its_prompt_alone(model, tokenizer):
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    ends = ends_of(model, ids, [5, 30, None, 0, 12, 20, None]) | {0}
    rows = rolled_out(model, tokenizer, ids, 40, ends)
    assert rows == [alone(model, row, 40, ends) for row in ids]
    lengths = [len(row) for row in rows]
    assert min(lengths) == 0  # one ends at once
    assert len(set(lengths)) > 3  # and rows leave the batch one after another


def test_the_cache_grows_past_its_first_room(model, tokenizer, monkeypatch):
    monkeypatch.setattr(decoding, "_ROOM", 3)
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    ends = ends_of(model, ids, [5, None, None, 0, 12, 20, None])
    assert rolled_out(model, tokenizer, ids, 20, ends) == [alone(model, row, 20, ends) for row in ids]


def test_sliding_window_layers_keep_their_own_cache(tokenizer):
    torch.manual_seed(1)
    model = MistralForCausalLM(MistralConfig(**TINY, sliding_window=8)).eval()
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    ends = ends_of(model, ids, [4, None, None, 0, 9, None, None])
    assert rolled_out(model, tokenizer, ids, 20, ends) == [alone(model, row, 20, ends) for row in ids]


@pytest.fixture
def recorded_rows(monkeypatch):
    """Rows at fixed places, which a GPU replays and a CPU computes kernel by kernel; small blocks, so that all is passed."""
    for name, value in {"BLOCK": 4, "LENGTHS": 16, "FEW": 1, "PROMPT_TOKENS": 200}.items():
        monkeypatch.setattr(recorded, name, value)
    monkeypatch.setattr(recorded, "is_recordable", recorded.attends_to_all)


def test_rows_at_fixed_places_equal_rows_that_grow(model, tokenizer, recorded_rows):
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    ends = ends_of(model, ids, [5, 30, None, 0, 12, 20, None]) | {0}
    rows = rolled_out(model, tokenizer, ids, 40, ends)
    assert rows == [alone(model, row, 40, ends) for row in ids]


def test_fixed_places_change_no_sample_and_no_stop(model, tokenizer, monkeypatch, request):
    options = {"max_new_tokens": 21, "batch_size": 7, "sampling": Sampling(1.0, 0.9, 3), "streams": range(7)}
    grown = generate(model, tokenizer, PROMPTS, **options)
    stops = (grown[1][5:7], grown[3][-3:])
    cut = generate(model, tokenizer, PROMPTS, stops=stops, **options)
    request.getfixturevalue("recorded_rows")
    assert generate(model, tokenizer, PROMPTS, **options) == grown
    assert generate(model, tokenizer, PROMPTS, stops=stops, **options) == cut


def test_batches_share_places_without_a_trace_of_each_other(model, tokenizer, recorded_rows):
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    longest_first = sorted(ids, key=len, reverse=True)
    ends = ends_of(model, ids, [5, 30, None, 0, 12, 20, None]) | {0}
    places = recorded.Places(model)
    taken = []
    for batch in (longest_first, longest_first[3:], longest_first[:2], longest_first * 2):
        if taken:  # whatever is left behind must not be seen
            for layer in places.layers:
                for held in layer._held:
                    held.fill_(float("nan"))
        draw = Draw(GREEDY, range(len(batch)))
        found = dict(decoding.roll_out(model, batch, 40, ends, draw, decoding.Stops(None), places))
        assert [found[i] for i in range(len(batch))] == [alone(model, row, 40, ends) for row in batch]
        taken.append(id(places._window))
    assert taken[0] == taken[1] == taken[2] != taken[3]  # the last one has more rows


def test_few_rows_are_computed_on_blindly_and_of_many_half_leave(model, tokenizer, recorded_rows, monkeypatch):
    monkeypatch.setattr(recorded, "FEW", 4)
    places = recorded.Places(model)
    rows = recorded.RecordedRows(places, [[5, 6, 7]] * 12, 60, Draw(GREEDY, range(12)))
    lasts = []
    for left in (12, 7, 6, 5, 3, 2, 1):
        rows.keep(list(range(left)))
        seen_S = (places.bias_ST[: places._window.last, : rows._end] == 0).any(dim=1)
        assert seen_S.tolist() == [place < left for place in range(places._window.last)]  # ended rows look at nothing
        assert len(rows.next(4)) == left
        lasts.append(places._window.last)
    assert lasts == [12, 12, 6, 6, 4, 4, 4]


def test_windows_are_not_recorded(model):
    assert recorded.attends_to_all(model)
    assert not recorded.is_recordable(model)  # no GPU
    assert not recorded.attends_to_all(MistralForCausalLM(MistralConfig(**TINY, sliding_window=8)))


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_answers_come_in_the_order_of_the_prompts(model, tokenizer, batch_size):
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    expected = [tokenizer.decode(alone(model, row, 16, {0}), skip_special_tokens=True) for row in ids]
    assert generate(model, tokenizer, PROMPTS, max_new_tokens=16, batch_size=batch_size) == expected
    assert len(set(expected)) == len(expected)


def test_prompts_much_longer_than_the_others_have_a_batch_of_their_own():
    sizes = [100, 4000, 120, 110, 90, 900]
    assert batches_by_length(sizes, lambda longest: 512) == [[1, 5], [2, 3, 0, 4]]
    assert batches_by_length(sizes, lambda longest: 3 if longest < 500 else 9) == [[1, 5], [2, 3, 0], [4]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5000), max_size=60), st.integers(1, 20))
def test_batches_hold_every_row_once_and_never_over_twice_its_tokens(sizes, most):
    batches = batches_by_length(sizes, lambda longest: most)
    assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch) <= most
        assert len(batch) * max(sizes[i] for i in batch) <= 2 * sum(sizes[i] for i in batch)


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


def test_each_answer_is_told_with_its_tokens(model, tokenizer):
    told = {}
    answers = generate(
        model,
        tokenizer,
        PROMPTS,
        max_new_tokens=4,
        batch_size=3,
        on_answer=lambda i, answer, tokens: told.setdefault(i, (answer, tokens)),
    )
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    assert told == {i: (answers[i], len(alone(model, row, 4, {0}))) for i, row in enumerate(ids)}


def test_a_row_ends_soon_after_a_stop_and_other_rows_go_on(model, tokenizer):
    full = generate(model, tokenizer, PROMPTS, max_new_tokens=24, batch_size=7)
    stop = full[1][5:7]
    cut = generate(model, tokenizer, PROMPTS, max_new_tokens=24, batch_size=7, stops=(stop, "never in any answer"))
    for before, after in zip(full, cut, strict=True):
        assert before.startswith(after)
        assert stop not in before or stop in after
        assert stop in after or after == before
    assert len(cut[1]) < len(full[1])


def test_samples_depend_on_their_stream_alone(model, tokenizer):
    sampling = Sampling(temperature=1.0, top_p=0.9, seed=3)
    options = {"max_new_tokens": 12, "sampling": sampling}
    together = generate(model, tokenizer, PROMPTS, batch_size=4, streams=range(7), **options)
    alone_ = [
        generate(model, tokenizer, [prompt], batch_size=1, streams=[i], **options)[0]
        for i, prompt in enumerate(PROMPTS)
    ]
    assert together == alone_
    twice = generate(model, tokenizer, PROMPTS[:1] * 6, batch_size=6, streams=range(6), **options)
    assert len(set(twice)) > 1
    greedy = generate(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=4)
    assert generate(model, tokenizer, PROMPTS, batch_size=4, max_new_tokens=12, sampling=Sampling(1.0, 1e-6)) == greedy


def test_a_prompt_of_token_ids_is_the_text_that_they_are_of(model, tokenizer):
    ids = tokenizer(PROMPTS, add_special_tokens=False)["input_ids"]
    options = {"max_new_tokens": 8, "batch_size": 3}
    assert generate(model, tokenizer, ids, **options) == generate(model, tokenizer, PROMPTS, **options)


def test_inversion_draws_by_probability_and_never_outside_of_the_nucleus():
    logits_SV = torch.log(torch.tensor([[0.1, 0.6, 0.3]])).expand(1000, 3)
    uniforms_S = (torch.arange(1000) + 0.5) / 1000
    everything = torch.bincount(inverse(logits_SV, uniforms_S, 1.0, 1.0), minlength=3)
    assert everything.tolist() == pytest.approx([100, 600, 300], abs=1)
    nucleus = torch.bincount(inverse(logits_SV, uniforms_S, 1.0, 0.8), minlength=3)
    assert nucleus.tolist() == pytest.approx([0, 667, 333], abs=1)
    cold = torch.bincount(inverse(logits_SV, uniforms_S, 0.5, 1.0), minlength=3)  # squares: 1, 36, 9 of 46
    assert cold.tolist() == pytest.approx([1000 / 46, 36000 / 46, 9000 / 46], abs=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 0.999), st.sampled_from([0.5, 4.0, 40.0]))
def test_a_wide_nucleus_draws_what_a_sort_of_all_chances_does(seed, top_p, spread):
    generator = torch.Generator().manual_seed(seed)
    # Rounded as a model's logits are: many are equal.
    logits_SV = (spread * torch.randn(6, 3000, generator=generator)).to(torch.bfloat16)
    uniforms_S = torch.rand(6, generator=generator)
    ordered_SV, tokens_SV = logits_SV.float().softmax(-1).sort(dim=-1, descending=True, stable=True)
    for row, token in enumerate(inverse(logits_SV, uniforms_S, 1.0, top_p).tolist()):
        cumulated = ordered_SV[row].double().cumsum(-1)
        kept = int((cumulated - ordered_SV[row] < top_p).sum())
        at = int((cumulated <= uniforms_S[row].double() * cumulated[kept - 1]).sum())
        # fp32 sums of 3,000 numbers: a draw within their rounding of a border may fall to either side.
        assert token in tokens_SV[row, max(0, at - 1) : at + 2].tolist()
        assert token in tokens_SV[row, : kept + 1].tolist()


@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_no_draw_is_a_token_without_a_chance(top_p):
    logits_SV = torch.tensor([[-torch.inf, 0.0, 1.0, -torch.inf]]).expand(3, 4)
    uniforms_S = torch.tensor([0.0, 0.5, 1 - 2**-24])
    assert set(inverse(logits_SV, uniforms_S, 1.0, top_p).tolist()) <= {1, 2}


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
    def stop(i, answer, tokens):
        raise KeyboardInterrupt

    model.train()
    try:
        with pytest.raises(KeyboardInterrupt):
            generate(model, tokenizer, ["a"], max_new_tokens=2, batch_size=1, on_answer=stop)
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
