"""Tokenising with offsets: what is refused, by whose name, and what stays text."""

from __future__ import annotations

import unicodedata
from dataclasses import astuple
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from iterpref.config import ModelConfig
from iterpref.data import tokenise
from iterpref.data.tokenise import encode_completions, encode_prompts
from iterpref.errors import UserError
from iterpref.models.policy import render_prompts
from iterpref.schema import Message

from .cases import example_of, made_pair
from .conftest import MAKERS, qwen_like

CODE = "def f(x):\n    return x\n"


def changed(**parts: Any) -> PreTrainedTokenizerFast:
    """`qwen_like` with another normaliser, pre-tokeniser or model."""
    backend = Tokenizer.from_str(qwen_like().backend_tokenizer.to_str())
    for name, part in parts.items():
        setattr(backend, name, part)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", name_or_path="changed")


def encoded(tokenizer: Any, text: str) -> Any:
    return encode_completions(tokenizer, [text], ["pair t#7, chosen"])[0]


def test_ids_and_offsets_are_those_of_the_tokenizer(tokenizer: Any) -> None:
    plain = tokenizer(CODE, add_special_tokens=False, return_offsets_mapping=True)
    tokens = encoded(tokenizer, CODE)
    assert tokens.ids.tolist() == plain["input_ids"]
    assert list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)) == plain["offset_mapping"]
    assert {str(a.dtype) for a in (tokens.ids, tokens.starts, tokens.ends)} == {"int32"}


def test_texts_are_encoded_a_few_at_a_time_with_the_same_tokens(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["x = 1\n" * n for n in (0, 1, 7, 2, 0, 30, 1, 0)]
    names = [f"t{i}" for i in range(len(texts))]
    whole = encode_completions(tokenizer, texts, names), encode_prompts(tokenizer, texts, [()] * len(texts), names)
    monkeypatch.setattr(tokenise, "_CHARACTERS_AT_ONCE", 20)
    parts = encode_completions(tokenizer, texts, names), encode_prompts(tokenizer, texts, [()] * len(texts), names)
    assert parts[1] == whole[1]
    assert [[a.tolist() for a in astuple(t)] for t in parts[0]] == [[a.tolist() for a in astuple(t)] for t in whole[0]]


def test_an_empty_text_has_no_tokens(tokenizer: Any) -> None:
    assert len(encoded(tokenizer, "").ids) == 0


@pytest.mark.parametrize("text", ["cafe\u0301 = 1\nx = 2\n", "\u212b\n\ufb01\n", "\u1112\u1161\u11ab = 1\n"])
def test_a_tokenizer_that_composes_characters_gets_the_right_lines(text: str) -> None:
    tokenizer = qwen_like(normalise=True)
    example = example_of(tokenizer, made_pair(text, text + "y = 3\n", empty="anchor"))
    assert example.rejected_mask[-1] == 1.0
    bad = text.replace("1", "2") if "1" in text else "x\n" + text
    example = example_of(tokenizer, made_pair(bad, text))
    before = [
        unicodedata.normalize("NFC", tokenizer.decode(example.rejected_ids[:i]).rstrip("\ufffd"))
        for i in range(len(example.rejected_ids))
    ]
    assert [float(front.count("\n") == 0) for front in before[:-1]] == list(example.rejected_mask[:-1])


@pytest.mark.parametrize(
    ("part", "text", "fault"),
    [
        ({"normalizer": normalizers.Lowercase()}, "X = 1\n", "the tokens spell 'x = 1.*' where the text has 'X = 1"),
        ({"normalizer": normalizers.Strip()}, "x = 1\n\n", "do not give the text back"),
        ({"normalizer": normalizers.Replace("\r\n", "\n")}, "x\r\ny\n", "the tokens spell"),
        ({"normalizer": normalizers.StripAccents()}, "e\u0301\n", "the tokens spell"),
    ],
)
def test_a_tokenizer_that_changes_the_text_is_named_with_the_record(
    part: dict[str, Any], text: str, fault: str
) -> None:
    with pytest.raises(UserError, match=rf"(?s)^tokenizer changed, pair t#7, chosen: .*{fault}"):
        encoded(changed(**part), text)


def test_empty_offsets_are_refused_by_name_where_masks_rest_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tokenise._encode
    tokens = encoded(changed(), CODE)

    def emptied(*arguments: Any, **options: Any) -> list[Any]:
        """As some releases gave offsets for Llama 3: each token from its beginning to its beginning."""
        made = whole(*arguments, **options)
        return [SimpleNamespace(ids=e.ids, offsets=[(start, start) for start, _ in e.offsets]) for e in made]

    monkeypatch.setattr(tokenise, "_encode", emptied)
    with pytest.raises(
        UserError, match=r"^tokenizer llama_like, pair t#7, chosen: token offsets jump over characters 0 to 3"
    ):
        encoded(MAKERS["llama_like"](), CODE)
    # Bytes have places of their own.
    assert all(np.array_equal(a, b) for a, b in zip(astuple(encoded(changed(), CODE)), astuple(tokens), strict=True))


@given(
    st.text(alphabet=st.sampled_from("ab_ \n\t\r(=:1\u00e9e\u0301\u4e2d\U0001f600\u200d\u2028\x0c\x00"), max_size=40)
)
def test_places_by_spelling_are_those_that_the_tokenizer_tells(text: str) -> None:
    """Also where a character is several tokens, and with a space that the tokenizer puts in front."""
    spaced = changed(
        pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True),
        post_processor=processors.ByteLevel(trim_offsets=False),
    )
    for tokenizer in (changed(), spaced, MAKERS["tiny"]()):
        told = tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        found = tokenise._Spelling.of(tokenizer).place(text, told["input_ids"], "who")
        assert found is not None
        assert found.ids.tolist() == encoded(tokenizer, text).ids.tolist() == told["input_ids"]
        assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == told["offset_mapping"]


def test_a_tokenizer_that_trims_spaces_off_its_offsets_blames_whole_lines() -> None:
    trimming = changed(post_processor=processors.ByteLevel(trim_offsets=True))
    told = trimming(CODE, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    assert any(end < begin for (_, end), (begin, _) in pairwise(told)), "spaces belong to nobody"
    pair = made_pair(CODE.replace("x\n", "y\n"), CODE)
    assert list(example_of(trimming, pair).rejected_mask) == list(example_of(changed(), pair).rejected_mask)


def test_a_lone_surrogate_is_refused_by_name(tokenizer: Any) -> None:
    with pytest.raises(UserError, match=r"pair t#7, chosen: the text holds a lone surrogate"):
        encoded(tokenizer, "x = '\ud800'\n")


def test_the_name_of_a_special_token_that_no_tokenizer_option_keeps_apart_is_refused() -> None:
    pieces = [("</s>", 0.0), ("<unk>", -9.0), *((c, -3.0) for c in ["\u2581", "\n", *map(chr, range(33, 127))])]
    backend = Tokenizer(models.Unigram(pieces, 1))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(prepend_scheme="first"), decoders.Metaspace()
    greedy = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="</s>", unk_token="<unk>", name_or_path="greedy"
    )
    assert len(encoded(greedy, "x < y\n").ids)
    with pytest.raises(
        UserError, match=r"tokenizer greedy, pair t#7, chosen: the text '</s>' becomes the special token"
    ):
        encoded(greedy, "x = '</s>'\n")


def test_an_unknown_character_is_a_token_like_any() -> None:
    pieces = [("</s>", 0.0), ("<unk>", -9.0), *((c, -3.0) for c in ["\u2581", "\n", *map(chr, range(33, 127))])]
    backend = Tokenizer(models.Unigram(pieces, 1))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(prepend_scheme="first"), decoders.Metaspace()
    narrow = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="</s>", unk_token="<unk>", name_or_path="narrow"
    )
    example = example_of(narrow, made_pair("a = '\u4e2d'\nb\n", "a\nb\n"))
    assert np.sum(example.rejected_mask) == len("\u2581a\u2581=\u2581'?'\n")


def chat(name: str) -> Any:
    backend = Tokenizer.from_str(MAKERS[name]().backend_tokenizer.to_str())
    made = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", name_or_path="chat")
    made.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    made.chat_template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    return made


def prompt_ids(tokenizer: Any, prompt: str, format: str = "chat") -> list[int]:
    rendered = render_prompts(tokenizer, [prompt], ModelConfig(prompt_format=format))
    return encode_prompts(tokenizer, rendered, [[prompt] if format == "chat" else []], ["pair t#7, prompt"])[0]


@pytest.mark.parametrize("name", ["qwen_like", "tiny"])
def test_in_a_prompt_the_template_speaks_in_special_tokens_and_the_user_in_text(name: str) -> None:
    tokenizer = chat(name)
    quiet = prompt_ids(tokenizer, "Say when.")
    assert (
        quiet
        == tokenizer(render_prompts(tokenizer, ["Say when."], ModelConfig())[0], add_special_tokens=False)["input_ids"]
    )
    loud = prompt_ids(tokenizer, "  Print '<|im_end|>' and\n<|im_start|>. ")
    for special in ("<|im_end|>", "<|im_start|>"):
        special_id = tokenizer.convert_tokens_to_ids(special)
        assert loud.count(special_id) == quiet.count(special_id)
    assert "Print '<|im_end|>' and\n<|im_start|>." in tokenizer.decode(loud)


@pytest.mark.parametrize("name", ["qwen_like", "tiny"])
def test_a_short_turn_is_not_looked_for_inside_a_special_token_of_the_template(name: str) -> None:
    tokenizer = chat(name)

    def ids(*words: str) -> list[int]:
        turns = tuple(Message(role, text) for role, text in zip(("user", "assistant", "user"), words, strict=True))
        rendered = render_prompts(tokenizer, [turns], ModelConfig())
        return encode_prompts(tokenizer, rendered, [words], ["pair t#7, prompt"])[0]

    quiet, loud = ids("Say when.", "Now.", "Why?"), ids("Say <|im_end|>.", "e", "im")
    for special in ("<|im_end|>", "<|im_start|>"):
        special_id = tokenizer.convert_tokens_to_ids(special)
        assert loud.count(special_id) == quiet.count(special_id)


def test_a_template_that_rewrites_such_a_prompt_is_refused_with_the_record() -> None:
    tokenizer = chat("qwen_like")
    tokenizer.chat_template = tokenizer.chat_template.replace("trim", "upper")
    assert prompt_ids(tokenizer, "Say when.")
    with pytest.raises(UserError, match=r"tokenizer chat, pair t#7, prompt: .* rewrites the text around it"):
        prompt_ids(tokenizer, "Print '<|im_end|>'.")


def test_a_plain_prompt_may_hold_special_tokens_of_its_own() -> None:
    tokenizer = chat("qwen_like")
    assert prompt_ids(tokenizer, "<|im_start|>user\nHi<|im_end|>\n", "plain")[0] == tokenizer.convert_tokens_to_ids(
        "<|im_start|>"
    )
    pair = made_pair("x = 1\n", "x = 2\n", prompt="Print <|im_end|>.")
    plain = example_of(tokenizer, pair, prompt=pair.prompt)
    assert tokenizer.eos_token_id in plain.prompt_ids
    (rendered,) = render_prompts(tokenizer, [pair.prompt], ModelConfig())
    assert list(example_of(tokenizer, pair, prompt=rendered).prompt_ids).count(tokenizer.eos_token_id) == 1
