"""The edge cases of localising and masking, one test each, with every family of tokenizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from iterpref.data.diff import localise

from .cases import OFFICIAL, counted, dropped, example_of, made_pair
from .rule import from_fence, starts_in_lines

GOOD = "```python\ndef total(xs):\n    s = 0\n    for x in xs:\n        s += x\n    return s\n```"


def check(tokenizer: Any, rejected: str, chosen: str, minus: set[int], plus: set[int]) -> str:
    """Both masks against the slow rule for lines given by hand; returns the blamed text."""
    pair = made_pair(rejected, chosen)
    assert (set(pair.d_minus), set(pair.d_plus)) == (minus, plus)
    example = example_of(tokenizer, pair)
    for text, ids, mask, lines in (
        (rejected, example.rejected_ids, example.rejected_mask, minus),
        (chosen, example.chosen_ids, example.chosen_focal, plus),
    ):
        plain = np.asarray(ids)[:-1].tolist()
        assert ids[-1] == tokenizer.eos_token_id
        assert list(mask) == starts_in_lines(tokenizer, plain, lines, text)
    return counted(tokenizer, rejected, example.rejected_mask)


def test_01_one_changed_line_is_blamed_and_nothing_else(tokenizer: Any) -> None:
    blamed = check(tokenizer, GOOD.replace("s += x", "s -= x"), GOOD, {4}, {4})
    assert blamed.strip() == "s -= x"


def test_02_a_surplus_line_is_blamed_and_d_plus_is_empty(tokenizer: Any) -> None:
    bad = GOOD.replace("    return s\n", "    s = None\n    return s\n")
    assert check(tokenizer, bad, GOOD, {5}, set()).strip() == "s = None"


def test_03_a_missing_line_is_blamed_as_the_policy_says(tokenizer: Any) -> None:
    bad = GOOD.replace("        s += x\n", "        pass\n").replace("        pass\n", "")
    pair = made_pair(bad, GOOD)
    assert (pair.d_minus, pair.d_plus) == ((), (4,))
    assert not np.any(example_of(tokenizer, pair).rejected_mask)
    anchored = made_pair(bad, GOOD, empty="anchor")
    example = example_of(tokenizer, anchored)
    blamed = counted(tokenizer, bad, example.rejected_mask)
    # The first token that starts where the line is missing, or after it when a token straddles that place.
    assert np.sum(example.rejected_mask) == 1
    assert bad.index("    return") <= bad.index(blamed, bad.index("    return")) <= bad.index("return s")
    at_end = example_of(tokenizer, made_pair("x = 1\n", "x = 1\ny = 2\n", empty="anchor"))
    assert list(np.flatnonzero(at_end.rejected_mask)) == [len(at_end.rejected_ids) - 1]  # EOS: it came too early


def test_04_of_lines_that_repeat_the_later_ones_are_blamed(tokenizer: Any) -> None:
    line = "        s += x\n"
    bad = GOOD.replace(line, line * 3)
    assert check(tokenizer, bad, GOOD, {5, 6}, set()).split() == ["s", "+=", "x", "s", "+=", "x"]
    check(tokenizer, bad.replace("    return", "    print(s)\n    return"), GOOD.replace(line, line * 2), {6, 7}, set())


def test_05_of_a_moved_block_the_smaller_part_is_blamed_where_it_stands(tokenizer: Any) -> None:
    bad = "a = 1\nb = 2\nc = 3\nd = 4\nprint(a)\n"
    good = "c = 3\nd = 4\nprint(a)\na = 1\nb = 2\n"
    assert check(tokenizer, bad, good, {0, 1}, {3, 4}).split() == ["a", "=", "1", "b", "=", "2"]


def test_06_a_blank_line_is_blamed_when_a_token_starts_in_it(tokenizer: Any) -> None:
    bad = GOOD.replace("    return", "\n\n    return")
    pair = made_pair(bad, GOOD)
    assert pair.d_minus == (5, 6)
    (encoded,) = [tokenizer(bad, add_special_tokens=False)["input_ids"]]
    if any(starts_in_lines(tokenizer, encoded, {5, 6}, bad)):
        check(tokenizer, bad, GOOD, {5, 6}, set())
    else:  # the line ends are part of "x\n\n\n", which started a line earlier: nothing is left to blame, and that is counted
        assert dropped(tokenizer, pair) == {"d_minus_starts_no_token": ["t#0"]}
    check(tokenizer, GOOD, bad, set(), {5, 6})


def test_07_a_line_of_white_space_differs_from_an_empty_one(tokenizer: Any) -> None:
    bad, good = GOOD.replace("    return", "    \n    return"), GOOD.replace("    return", "\n    return")
    pair = made_pair(bad, good)
    assert (pair.d_minus, pair.d_plus) == ((5,), (5,))
    ids = tokenizer(bad, add_special_tokens=False)["input_ids"]
    if any(starts_in_lines(tokenizer, ids, {5}, bad)):
        assert check(tokenizer, bad, good, {5}, {5}).strip() == ""
    else:
        assert dropped(tokenizer, pair) == {"d_minus_starts_no_token": ["t#0"]}


def test_08_a_change_of_indentation_blames_the_whole_line(tokenizer: Any) -> None:
    bad = GOOD.replace("    return s", "        return s")
    assert check(tokenizer, bad, GOOD, {5}, {5}).strip() == "return s"


def test_09_carriage_returns_belong_to_their_line_also_in_mixed_texts(tokenizer: Any) -> None:
    crlf = GOOD.replace("\n", "\r\n")
    check(tokenizer, crlf.replace("s += x", "s -= x"), crlf, {4}, {4})
    mixed = GOOD.replace("s = 0\n", "s = 0\r\n")
    assert check(tokenizer, mixed, GOOD, {2}, {2}).strip() == "s = 0"
    check(tokenizer, "a = 1\rb = 2\n", "a = 1\rb = 3\n", {0}, {0})  # a lone carriage return ends no line


def test_10_tabs_are_no_spaces(tokenizer: Any) -> None:
    tabs = GOOD.replace("    ", "\t")
    check(tokenizer, tabs, GOOD, {2, 3, 4, 5}, {2, 3, 4, 5})
    assert check(tokenizer, tabs.replace("s += x", "s -= x"), tabs, {4}, {4}).strip() == "s -= x"


def test_11_a_missing_final_newline_is_no_difference_and_moves_no_mask(tokenizer: Any) -> None:
    assert check(tokenizer, "a = 1\nb = 2", "a = 1\nb = 3\n", {1}, {1}).strip() == "b = 2"
    assert check(tokenizer, "a = 1\nb = 2\n", "a = 1\nb = 3", {1}, {1}).strip() == "b = 2"
    assert localise("a = 1", "a = 1\n").d_minus == ()


def test_12_the_first_line_and_the_fences_are_lines_like_any(tokenizer: Any) -> None:
    assert check(tokenizer, "x = 2\ny\n", "x = 1\ny\n", {0}, {0}).strip() == "x = 2"
    assert check(tokenizer, GOOD.replace("```python", "```py"), GOOD, {0}, {0}).strip() == "```py"
    assert check(tokenizer, GOOD.removesuffix("```") + "~~~", GOOD, {6}, {6}).strip() == "~~~"


@pytest.mark.parametrize(
    ("front", "counted_from"),
    [
        ("```python\n", "```python"),
        ("Sure, here it is:\n```python\n", "```python"),
        ("It is ```python\n", "```python"),
        ("   ```python\n", "```python"),
        ("```python3\n", "```python3"),  # the fence's text begins in the same way
        ("```py\n", None),
        ("```\n", None),
        ("", None),
        ("```js\nx\n```\n```python\n", "```python"),
    ],
)
def test_13_k_plus_counts_from_the_first_python_fence_or_everything(
    tokenizer: Any, front: str, counted_from: str | None
) -> None:
    good = front + "x = 1\n```\n"
    example = example_of(tokenizer, made_pair(front + "x = 2\n```\n", good), OFFICIAL)
    ids = np.asarray(example.chosen_ids)[:-1].tolist()
    assert list(example.chosen_mask) == from_fence(tokenizer, ids, good)
    shown = counted(tokenizer, good, example.chosen_mask)
    assert shown.lstrip() == (good if counted_from is None else good[good.index(counted_from) :]).lstrip()
    assert example.chosen_mask[-1] == 1.0
    assert counted(tokenizer, front + "x = 2\n```\n", example.rejected_mask).strip() == "x = 2"


def test_14_only_the_completion_is_searched_for_a_fence_and_its_first_one_counts_wherever_it_stands(
    tokenizer: Any,
) -> None:
    bare = 'def f():\n    """Example:\n    ```python\n    f()\n    ```\n    """\n    return 1\n'
    prompt = "Mend this:\n```python\nf()\n```\n"
    no_fence = made_pair("x = 2\n", "x = 1\n", prompt=prompt)
    example = example_of(tokenizer, no_fence, OFFICIAL)
    assert list(example.chosen_mask) == [1.0] * len(example.chosen_ids)  # the prompt's fence is not the completion's
    inside = example_of(tokenizer, made_pair(bare.replace("1", "2"), bare, prompt=prompt), OFFICIAL)
    assert counted(tokenizer, bare, inside.chosen_mask).lstrip() == bare[bare.index("```python") :]
    fenced = f"```python\n{bare}```\n"
    outside = example_of(tokenizer, made_pair(fenced.replace("1", "2"), fenced, prompt=prompt), OFFICIAL)
    assert list(outside.chosen_mask) == [1.0] * len(outside.chosen_ids)
    string = GOOD.replace("s = 0", "s = '''\n```python\n'''")
    example = example_of(tokenizer, made_pair(string.replace("+=", "-="), string), OFFICIAL)
    assert list(example.chosen_mask) == [1.0] * len(example.chosen_ids)


@pytest.mark.parametrize(
    "odd", ["\U0001f600", "\u4e2d\u6587", "e\u0301\u0302", "\u00e9", "\x0c", "\u2028", "\u200b", "\u2581", "\ufeff"]
)
def test_15_strange_characters_break_no_line_and_no_mask(tokenizer: Any, odd: str) -> None:
    good = GOOD.replace("s = 0", f"s = '{odd}'")
    blamed = check_odd(tokenizer, good.replace("s += x", f"s -= '{odd}'"), good.replace("s += x", f"s += '{odd}'"), {4})
    assert blamed.strip() == f"s -= '{odd}'"


def check_odd(tokenizer: Any, rejected: str, chosen: str, minus: set[int]) -> str:
    example = example_of(tokenizer, made_pair(rejected, chosen))
    text = rejected.replace("\u2581", " ")  # SentencePiece has one character for both
    ids = np.asarray(example.rejected_ids)[:-1].tolist()
    if "\u2581" not in rejected or tokenizer.name_or_path != "llama_like":
        text = rejected
    assert list(example.rejected_mask) == starts_in_lines(tokenizer, ids, minus, text)
    return counted(tokenizer, rejected, example.rejected_mask)


def test_16_what_a_tokenizer_puts_in_front_shifts_no_mask(tokenizer: Any) -> None:
    bad = GOOD.replace("s += x", "s -= x")
    example = example_of(tokenizer, made_pair(bad, GOOD), OFFICIAL)
    assert counted(tokenizer, bad, example.rejected_mask).strip() == "s -= x"
    assert tokenizer.bos_token_id not in (example.chosen_ids[0], example.prompt_ids[0])
    assert tokenizer.decode(example.chosen_ids[:-1]) == GOOD
    first = example_of(tokenizer, made_pair("y = 2\nx\n", "y = 1\nx\n"))
    assert first.rejected_mask[0] == 1.0  # the token of the space in front stands in the first line
    assert counted(tokenizer, "y = 2\nx\n", first.rejected_mask).strip() == "y = 2"


def test_17_the_name_of_eos_in_the_code_stays_text_also_where_padding_is_eos(tokenizer: Any) -> None:
    end = tokenizer.eos_token
    good = GOOD.replace("s = 0", f"stop = '{end}'\n    s = 0")
    bad = good.replace(f"'{end}'", f"'{end}{end}'")
    example = example_of(tokenizer, made_pair(bad, good), OFFICIAL)
    for ids, text in ((example.chosen_ids, good), (example.rejected_ids, bad)):
        assert list(ids).count(tokenizer.eos_token_id) == 1
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids[:-1]) == text
    assert counted(tokenizer, bad, example.rejected_mask).strip() == f"stop = '{end}{end}'"
    assert example.chosen_mask[-1] == 1.0
    assert example.rejected_mask[-1] == 0.0


def test_18_texts_are_compared_before_they_are_cut_and_a_cut_fault_is_counted(tokenizer: Any) -> None:
    tail = "".join(f"    y{i} = {i}\n" for i in range(40))
    good = GOOD.removesuffix("```") + tail
    bad = good.replace("s += x", "s -= x")
    pair = made_pair(bad, good)
    whole = example_of(tokenizer, pair, OFFICIAL)
    longest = int(np.flatnonzero(whole.rejected_focal)[-1]) + 1
    assert dropped(tokenizer, pair, max_completion_tokens=longest) == {f"completion_over_{longest}_tokens": ["t#0"]}
    cut = example_of(tokenizer, pair, OFFICIAL, max_completion_tokens=longest, overlong="truncate")
    for name in ("chosen_ids", "rejected_ids", "chosen_mask", "rejected_mask", "chosen_focal", "rejected_focal"):
        assert list(getattr(cut, name)) == list(getattr(whole, name))[:longest]
    assert cut.rejected_ids[-1] != tokenizer.eos_token_id
    for limit in (longest - 1, int(np.flatnonzero(whole.rejected_focal)[0])):  # in D-, and before it
        reasons = dropped(tokenizer, pair, max_completion_tokens=limit, overlong="truncate")
        assert reasons == {f"focal_tokens_over_{limit}_cut": ["t#0"]}
    # A tail that only one text has is cut too, and is no fault: D+ alone would be cut here, and drops the pair likewise.
    surplus = made_pair(good, good + "    z = 1\n")
    assert dropped(tokenizer, surplus, max_completion_tokens=longest, overlong="truncate")


def test_19_comments_trees_and_programs_that_do_not_parse_get_masks_like_any(tokenizer: Any) -> None:
    assert check(tokenizer, GOOD.replace("s += x", "s += x  # sum"), GOOD, {4}, {4}).strip() == "s += x  # sum"
    assert check(tokenizer, GOOD.replace("s = 0", "s=0"), GOOD, {2}, {2}).strip() == "s=0"
    assert check(tokenizer, GOOD.replace("xs):", "xs:"), GOOD, {1}, {1}).strip() == "def total(xs:"


def test_20_equal_entirely_different_and_very_similar_texts(tokenizer: Any) -> None:
    same = example_of(tokenizer, made_pair(GOOD, GOOD), OFFICIAL)
    assert not np.any(same.rejected_mask)
    assert not np.any(same.chosen_focal)
    bad, good = "a = 1\nb = 2\n", "while True:\n    pass\n"
    example = example_of(tokenizer, made_pair(bad, good))
    assert list(example.rejected_mask) == [1.0] * (len(example.rejected_ids) - 1) + [0.0]
    many = [f"    value_{i} = compute(value_{i - 1}, {i})" for i in range(400)]
    bad, good = "\n".join(many), "\n".join(line.replace("compute", "computed") for line in many)
    for algorithm in ("lcs", "ndiff", "prefix_suffix"):
        pair = made_pair(bad, good, algorithm)
        assert pair.d_minus == tuple(range(400))
    example = example_of(tokenizer, pair, max_completion_tokens=100_000)
    assert list(example.rejected_mask[:-1]) == [1.0] * (len(example.rejected_ids) - 1)
