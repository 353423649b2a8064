"""Which tokens are blamed: with byte-level BPE, with tokens that straddle lines, with a prefix space, by hand."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from iterpref.config import DataConfig, MaskConfig
from iterpref.data.diff import localise
from iterpref.data.masking import Side, describe_drops, focal_tokens, full_pairs, mask_weights, tokenise_pairs, widened
from iterpref.data.tokenise import Tokens, check_offsets
from iterpref.errors import UserError
from iterpref.schema import Example, PreferencePair, Span

TINY = Path(__file__).parents[2] / "src/iterpref/models/tiny"
BAD = "```python\ndef f(x):\n    return x - 1\n\n```"
GOOD = "```python\ndef f(x):\n    return x + 1\n\n```"


@pytest.fixture(scope="module")
def tiny() -> Any:
    return AutoTokenizer.from_pretrained(TINY)


def wrapped(tokenizer: Tokenizer, **options: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", name_or_path="made", **options)


def byte_level(*merged: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE whose only merged tokens are the given texts (and their beginnings), across lines as it comes."""
    mapping = dict(zip(map(chr, range(256)), _byte_characters(), strict=True))
    vocabulary = {character: i for i, character in enumerate(sorted(mapping.values()))}
    merges = []
    for text in merged:
        letters = [mapping[chr(byte)] for byte in text.encode()]
        for end in range(1, len(letters)):
            if ("".join(letters[:end]), letters[end]) not in merges:
                merges.append(("".join(letters[:end]), letters[end]))
                vocabulary.setdefault("".join(letters[: end + 1]), len(vocabulary))
    tokenizer = Tokenizer(models.BPE({**vocabulary, "</s>": len(vocabulary)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return wrapped(tokenizer)


def _byte_characters() -> list[str]:
    """GPT-2's printable stand-in of each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def sentencepiece() -> PreTrainedTokenizerFast:
    """Characters with a space put in front of the text and bytes for what is not in the vocabulary, as in Llama 2."""
    pieces = ["</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "\u2581\u2581", *map(chr, range(33, 127))]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("\u2581", "\u2581")], byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    return wrapped(tokenizer)


def metaspace() -> PreTrainedTokenizerFast:
    pieces = [("</s>", 0.0), ("<unk>", 0.0), *((c, -3.0) for c in ["\u2581", "\n", *map(chr, range(33, 127))])]
    tokenizer = Tokenizer(models.Unigram([*pieces, ("\u2581return", -1.0), ("def", -1.0), ("\u2581x", -2.0)], 1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    return wrapped(tokenizer)


TOKENIZERS = {
    "tiny": lambda: AutoTokenizer.from_pretrained(TINY),
    "straddling": lambda: byte_level("):\n", "\n    ", "\n\n"),
    "sentencepiece": sentencepiece,
    "metaspace": metaspace,
}


def pair(rejected: str = BAD, chosen: str = GOOD, **changes: Any) -> PreferencePair:
    found = localise(rejected, chosen)
    made = PreferencePair(
        "t#0", "t", "train", "", "p", chosen, rejected, 1, 0, "", found.d_minus, found.d_plus, found.d_minus_spans,
        found.d_plus_spans, "lcs", "literal", False,
    )  # fmt: skip
    return replace(made, **changes)


def tokenised(tokenizer: Any, made: PreferencePair, mask: MaskConfig | None = None, prompt: str = "do it") -> Example:
    examples, drops = tokenise_pairs([made], [prompt], tokenizer, mask or MaskConfig(), DataConfig())
    assert not drops
    return examples[0]


def at(*offsets: tuple[int, int]) -> Tokens:
    """Tokens with these offsets."""
    columns = np.array(offsets, np.int32).reshape(-1, 2)
    return Tokens(np.zeros(len(offsets), np.int32), columns[:, 0], columns[:, 1])


def pieces(tokenizer: Any, text: str) -> list[tuple[int, str]]:
    """(start, characters) of each token, by the tokenizer itself."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [(begin, text[begin:end]) for begin, end in encoded["offset_mapping"]]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_token_belongs_to_the_line_that_it_starts_in(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    example = tokenised(tokenizer, pair())
    start, end = BAD.index("    return"), BAD.index("\n```")
    expected = [int(start <= begin < end) for begin, _ in pieces(tokenizer, BAD)]
    assert list(example.rejected_focal) == [*expected, 0]
    assert list(example.rejected_mask) == [*map(float, expected), 0.0]
    assert 0 < sum(expected) < len(expected)
    assert list(example.chosen_mask) == [1.0] * len(example.chosen_ids)
    assert sum(example.chosen_focal) == sum(expected)


def blamed(tokenizer: Any) -> list[str]:
    focal = tokenised(tokenizer, pair()).rejected_focal[:-1]
    return [text for (_, text), mark in zip(pieces(tokenizer, BAD), focal, strict=True) if mark]


def test_a_token_over_two_lines_is_blamed_for_its_first() -> None:
    assert blamed(byte_level("):\n", "1\n\n")) == [*"    return x - ", "1\n\n"]


def test_indentation_in_the_token_of_the_line_before_is_not_blamed() -> None:
    assert "".join(blamed(byte_level("):\n", "\n    "))) == "    return x - 1\n"
    assert "".join(blamed(byte_level(":\n    "))) == "return x - 1\n"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_side_ends_with_one_eos_and_no_other_special_token(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    example = tokenised(tokenizer, pair())
    for ids, text in ((example.chosen_ids, GOOD), (example.rejected_ids, BAD)):
        assert ids[-1] == tokenizer.eos_token_id
        assert list(ids[:-1]) == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert list(example.prompt_ids) == tokenizer("do it", add_special_tokens=False)["input_ids"]


def test_a_tokenizer_that_adds_bos_does_not_shift_the_mask(tiny: Any) -> None:
    from tokenizers.processors import TemplateProcessing

    adding = AutoTokenizer.from_pretrained(TINY)
    adding.backend_tokenizer.post_processor = TemplateProcessing(single="<|pad|> $A", special_tokens=[("<|pad|>", 0)])
    assert adding("x")["input_ids"][0] == 0
    assert tokenised(adding, pair()) == tokenised(tiny, pair())


@pytest.mark.parametrize("rule", ["full", "fence", "focal", "diff_aug", "soft"])
@pytest.mark.parametrize("eos", [True, False])
def test_eos_counts_with_a_whole_mask_if_asked_and_never_with_a_focal_one(tiny: Any, rule: str, eos: bool) -> None:
    example = tokenised(tiny, pair(), MaskConfig(rule, rule, eos, soft_weight=0.25))
    for mask in (example.chosen_mask, example.rejected_mask):
        outside = {"focal": 0.0, "diff_aug": 0.0, "soft": 0.25}.get(rule, 1.0)
        assert mask[-1] == eos * outside
    assert example.chosen_focal[-1] == example.rejected_focal[-1] == 0


def test_a_fence_mask_begins_at_the_first_python_fence(tiny: Any) -> None:
    lead = "Here you are:\n"
    made = pair(f"{lead}{BAD}", f"{lead}{GOOD}\n{GOOD}")
    example = tokenised(tiny, made, MaskConfig("fence", "fence", True))
    starts = [begin for begin, _ in pieces(tiny, made.chosen)]
    assert list(example.chosen_mask) == [*(float(begin >= len(lead)) for begin in starts), 1.0]
    assert example.chosen_mask[0] == 0.0
    assert made.chosen[starts[list(example.chosen_mask).index(1.0)] :].startswith("```python")


@pytest.mark.parametrize(
    ("text", "offsets", "expected"),
    [
        ("x = 1", [(0, 1), (1, 5)], [1, 1, 1]),
        ("a```python\n", [(0, 1), (1, 11)], [0, 1, 1]),
        ("a ```python\n", [(0, 1), (1, 5), (5, 12)], [0, 1, 1, 1]),  # the token that holds the fence began with a space
        ("a```py\n", [(0, 1), (1, 7)], [1, 1, 1]),
        ("a```python3\n", [(0, 1), (1, 12)], [0, 1, 1]),
    ],
)
def test_a_fence_mask_by_hand(text: str, offsets: list[tuple[int, int]], expected: list[int]) -> None:
    weights = mask_weights("fence", Side(text, at(*offsets), np.zeros(len(expected), np.uint8), (), MaskConfig()))
    assert list(weights) == expected


@pytest.mark.parametrize("name", ["tiny", "straddling", "sentencepiece"])  # metaspace has one token for all unknowns
@pytest.mark.parametrize("letter", ["\u00e9", "\u4e2d", "\U0001f600", "e\u0301", "\U0001f468\u200d\U0001f469"])
def test_characters_of_several_tokens_are_blamed_as_one(name: str, letter: str) -> None:
    tokenizer = TOKENIZERS[name]()
    bad, good = BAD.replace("- 1", f"'{letter}'"), GOOD.replace("+ 1", f"'{letter}!'")
    example = tokenised(tokenizer, pair(bad, good))
    line = bad.index("    return"), bad.index("\n```")
    assert list(example.rejected_focal[:-1]) == [int(line[0] <= begin < line[1]) for begin, _ in pieces(tokenizer, bad)]


def test_equal_offsets_of_one_character_are_accepted() -> None:
    check_offsets("a\U0001f600b", at((0, 1), (1, 2), (1, 2), (1, 2), (1, 2), (2, 3)), "who")
    check_offsets("ab", at((0, 1), (0, 2)), "a prefix space of its own")
    check_offsets("abc", at((0, 2), (0, 0), (2, 3)), "an empty token")
    check_offsets("", at(), "who")


@pytest.mark.parametrize(
    ("offsets", "fault"),
    [
        ([(0, 1), (2, 3)], "jump over characters 1 to 2"),
        ([(1, 3)], "jump over characters 0 to 1"),
        ([(0, 0), (1, 1), (2, 2)], "jump over"),
        ([(0, 1), (1, 3), (0, 1)], "jump from character 1 to 0"),
        ([(0, 2)], "cover 2 of 3 characters"),
        ([(0, 4)], "cover 4 of 3 characters"),
        ([], "cover 0 of 3 characters"),
    ],
)
def test_offsets_that_do_not_give_the_text_back_are_refused(offsets: list[tuple[int, int]], fault: str) -> None:
    with pytest.raises(UserError, match=f"^who: token offsets {fault}.*do not give the text back"):
        check_offsets("abc", at(*offsets), "who")


def test_a_tokenizer_that_loses_text_is_named_with_the_pair() -> None:
    tokenizer = Tokenizer(models.WordLevel({"</s>": 0, "<unk>": 1}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(UserError, match=r"^tokenizer made, pair t#0, chosen: token offsets jump"):
        tokenised(wrapped(tokenizer), pair())


def test_a_tokenizer_without_offsets_or_without_an_end_is_refused(tiny: Any) -> None:
    class Slow:
        is_fast = False

    with pytest.raises(UserError, match="no character offsets"):
        tokenise_pairs([], [], Slow(), MaskConfig(), DataConfig())  # type: ignore[arg-type]
    endless = AutoTokenizer.from_pretrained(TINY)
    endless.eos_token = None
    with pytest.raises(UserError, match="no eos_token"):
        tokenise_pairs([pair()], ["p"], endless, MaskConfig(), DataConfig())


def test_context_lines_are_drawn_once_a_pair_and_stand_around_each_block(tiny: Any) -> None:
    bad = "a\nb\nx1\nc\nd\ne\nf\nx2\nx3\ng\n"
    good = bad.replace("x", "y")
    draws = {}
    for name in "pqrstuvw":
        made = pair(bad, good, pair_id=name)
        example = tokenised(tiny, made, MaskConfig("diff_aug", "diff_aug"))
        shown = "".join(text for (_, text), w in zip(pieces(tiny, bad), example.rejected_mask, strict=False) if w)
        mirrored = "".join(text for (_, text), w in zip(pieces(tiny, good), example.chosen_mask, strict=False) if w)
        assert mirrored == shown.replace("x", "y")
        assert example == tokenised(tiny, made, MaskConfig("diff_aug", "diff_aug"))
        draws[name] = shown
    assert set(draws.values()) == {"b\nx1\nc\nf\nx2\nx3\ng\n", bad}


def test_context_stays_inside_the_completion() -> None:
    assert widened((0, 4), 2, 5) == (0, 1, 2, 3, 4)
    assert widened((3,), 1, 9) == (2, 3, 4)
    assert widened((3,), 0, 9) == (3,)
    assert widened((), 2, 9) == ()


def test_soft_weights_stand_outside_d_and_one_inside(tiny: Any) -> None:
    example = tokenised(tiny, pair(), MaskConfig("soft", "soft", soft_weight=0.25))
    for mask, focal in ((example.chosen_mask, example.chosen_focal), (example.rejected_mask, example.rejected_focal)):
        assert list(mask) == [1.0 if mark else 0.25 for mark in focal]
        assert mask.dtype == np.float32  # type: ignore[union-attr]


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_share_of_the_pairs_is_full_exactly_and_always_the_same(tiny: Any, share: float) -> None:
    pairs = [pair(pair_id=f"t#{i}", split="train" if i % 3 else "test") for i in range(30)]
    mask = MaskConfig(full_share=share, eos=False)
    examples, _ = tokenise_pairs(pairs, ["p"] * 30, tiny, mask, DataConfig())
    plain, _ = tokenise_pairs(pairs, ["p"] * 30, tiny, replace(mask, full_share=0.0), DataConfig())
    full, _ = tokenise_pairs(pairs, ["p"] * 30, tiny, MaskConfig("full", "full", False), DataConfig())
    hybrid = [e == f for e, f in zip(examples, full, strict=True)]
    assert all(e == (f if is_full else p) for e, p, f, is_full in zip(examples, plain, full, hybrid, strict=True))
    for split in ("train", "test"):
        of_split = [is_full for e, is_full in zip(examples, hybrid, strict=True) if e.split == split]
        assert sum(of_split) == round(share * len(of_split))
    assert tokenise_pairs(pairs[::-1], ["p"] * 30, tiny, mask, DataConfig())[0] == examples[::-1]


def test_another_seed_draws_other_full_pairs() -> None:
    pairs = [("train", str(i)) for i in range(100)]
    draws = {full_pairs(pairs, 0.5, seed) for seed in range(5)}
    assert {len(draw) for draw in draws} == {50}
    assert len(draws) == 5
    assert full_pairs(pairs, 0.0, 0) == frozenset()


@pytest.mark.parametrize("over", ["prompt", "completion"])
def test_a_pair_at_the_limit_is_kept_and_one_token_more_is_dropped(tiny: Any, over: str) -> None:
    example = tokenised(tiny, pair())
    length = len(example.prompt_ids) if over == "prompt" else max(len(example.chosen_ids), len(example.rejected_ids))
    limit = f"max_{over}_tokens"
    at, below = (replace(DataConfig(), **{limit: n}) for n in (length, length - 1))  # type: ignore[arg-type]
    assert tokenise_pairs([pair()], ["do it"], tiny, MaskConfig(), at) == ([example], {})
    dropped = {f"{over}_over_{length - 1}_tokens": ["t#0"]}
    assert tokenise_pairs([pair()], ["do it"], tiny, MaskConfig(), below) == ([], dropped)


def test_a_d_minus_in_which_no_token_starts_is_dropped_and_counted() -> None:
    tokenizer = byte_level(":\n   \n")
    bad = GOOD.replace(":\n", ":\n   \n")
    made = pair(bad, GOOD)
    assert made.d_minus == (2,)
    other = pair(pair_id="t#1")
    examples, drops = tokenise_pairs([made, other], ["p", "p"], tokenizer, MaskConfig(), DataConfig())
    assert drops == {"d_minus_starts_no_token": ["t#0"]}
    assert [e.pair_id for e in examples] == ["t#1"]


def test_an_anchor_blames_the_first_token_at_or_after_the_gap(tiny: Any) -> None:
    bad = BAD.replace("    return x - 1\n", "")
    made = pair(bad, BAD)
    assert (made.d_minus, made.d_minus_spans) == ((), ())
    assert sum(tokenised(tiny, made).rejected_mask) == 0.0
    gap = localise(bad, BAD).gap
    assert gap == bad.index("\n```")
    example = tokenised(tiny, replace(made, d_minus_spans=(Span(gap, gap),)))
    assert sum(example.rejected_mask) == 1.0
    assert pieces(tiny, bad)[list(example.rejected_mask).index(1.0)][0] == gap


def test_a_gap_inside_a_token_blames_the_next_one_and_at_the_end_eos() -> None:
    assert list(focal_tokens(at((0, 3), (3, 6), (6, 7)), (Span(4, 4),))) == [0, 0, 1, 0]
    assert list(focal_tokens(at((0, 3), (3, 6), (6, 7)), (Span(3, 3),))) == [0, 1, 0, 0]
    assert list(focal_tokens(at((0, 3)), (Span(3, 3),))) == [0, 1]
    assert list(focal_tokens(at(), (Span(0, 0),))) == [1]


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), max_size=3))
@settings(max_examples=100, deadline=None)
def test_focal_tokens_are_those_that_start_in_a_span(widths: list[int], cuts: list[tuple[int, int]]) -> None:
    ends = [sum(widths[: i + 1]) for i in range(len(widths))]
    offsets = list(zip([0, *ends], ends, strict=False))
    spans = tuple(Span(start, start + width) for start, width in cuts)
    expected = [int(any(s.start <= begin < s.end for s in spans)) for begin, _ in offsets]
    assert list(focal_tokens(at(*offsets), spans)) == [*expected, 0]
    overlapping = [int(any(s.start < end and begin < s.end for s in spans)) for begin, end in offsets]
    assert list(focal_tokens(at(*offsets), spans, by_word=True)) == [*overlapping, 0]


def test_drops_are_told_by_reason_with_their_first_pairs() -> None:
    told = describe_drops({"b": ["1"], "a": ["1", "2", "3", "4"]})
    assert told == "a: 4 (first 1, 2, 3); b: 1 (first 1)"


def test_tokenising_warns_of_nothing(tiny: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tokenised(tiny, pair())
    assert not caplog.records
