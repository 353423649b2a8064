"""A row of anybody's preference data: every form of TRL's formats, and what a newcomer's row may look like instead."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iterpref.codeflow.external.preferences import NoPair, Preference, Unsuited, read_preference
from iterpref.config.pairs import PairColumnsConfig
from iterpref.schema import Message


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


ASK, GOOD, BAD = turn("user", "What is 2 + 2?"), turn("assistant", "4"), turn("assistant", "5")
SIMPLE = Preference("What is 2 + 2?", (), "4", "5")


def read(prompt: Any, chosen: Any, rejected: Any, **columns: Any) -> Preference:
    row = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    return read_preference({k: v for k, v in row.items() if v is not ...}, PairColumnsConfig(**columns))


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected"),
    [
        ("What is 2 + 2?", "4", "5"),
        ([ASK], [GOOD], [BAD]),
        ([ASK], "4", "5"),
        (..., [ASK, GOOD], [ASK, BAD]),
        # UltraFeedback: the prompt as a text, and again as the first turn of either side.
        ("What is 2 + 2?", [ASK, GOOD], [ASK, BAD]),
        ([ASK], [ASK, GOOD], [ASK, BAD]),
        ("What is 2 + 2?", [GOOD], [BAD]),
        # One turn without its list, names of other families, parts instead of a text.
        ([ASK], GOOD, BAD),
        ([{"from": "human", "value": "What is 2 + 2?"}], {"from": "gpt", "value": "4"}, {"from": "gpt", "value": "5"}),
        ([turn("system", ""), ASK], [GOOD], [BAD]),
        ([{"role": "user", "content": [{"type": "text", "text": "What is 2 + 2?"}]}], [GOOD], [BAD]),
        ([{**ASK, "tool_calls": None}], [GOOD], [BAD]),
    ],
)
def test_every_form_of_one_preference_reads_the_same(prompt: Any, chosen: Any, rejected: Any) -> None:
    assert read(prompt, chosen, rejected) == SIMPLE


def test_turns_are_kept_for_the_chat_template() -> None:
    turns = [turn("system", "Be brief."), turn("user", "Hi."), turn("assistant", "Hello."), ASK]
    explicit = read(turns, [GOOD], [BAD])
    assert explicit.messages == tuple(Message(t["role"], t["content"]) for t in turns)
    assert explicit.prompt == "system: Be brief.\n\nuser: Hi.\n\nassistant: Hello.\n\nuser: What is 2 + 2?"
    assert (explicit.chosen, explicit.rejected) == ("4", "5")
    assert read(..., [*turns, GOOD], [*turns, BAD]) == read("ignored", [*turns, GOOD], [*turns, BAD]) == explicit


def test_tools_may_stand_behind_an_assistant() -> None:
    turns = [ASK, turn("assistant", "calc(2+2)"), turn("tool", "4")]
    assert read(turns, [GOOD], [BAD]).messages[-1] == Message("tool", "4")


def test_a_system_turn_of_null_says_nothing_and_other_names_of_roles_are_known() -> None:
    row = {
        "prompt": [{"role": "system", "content": None}, {"role": "human", "content": "w"}],
        "chosen": [{"role": "bot", "content": "a"}],
        "rejected": [{"role": "ai", "content": "b"}],
    }
    assert read_preference(row, PairColumnsConfig()) == Preference("w", (), "a", "b")


def test_equal_answers_stay_answers() -> None:
    assert read(..., [ASK, GOOD], [ASK, GOOD]) == Preference("What is 2 + 2?", (), "4", "4")


def test_a_prompt_inside_two_texts_ends_at_the_last_shared_mark() -> None:
    prompt = "\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: 2 + 2?\n\nAssistant:"
    assert read(..., prompt + " 4", prompt + " 5") == Preference(prompt, (), " 4", " 5")
    # The answers share more than the prompt: their common beginning is no part of it.
    assert read(..., prompt + " It is 4", prompt + " It is 5").prompt == prompt


def test_a_prompt_inside_two_texts_ends_before_the_fence_or_at_a_whole_line() -> None:
    assert read(..., "Do it.\n```python\nx = 1\n```", "Do it.\n```python\nx = 2\n```") == Preference(
        "Do it.\n", (), "```python\nx = 1\n```", "```python\nx = 2\n```"
    )
    assert read(..., "Do it.\nNow 1", "Do it.\nNow 2") == Preference("Do it.\n", (), "Now 1", "Now 2")


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected", "words"),
    [
        ("p", None, "b", ["'chosen' is null"]),
        ("p", "a", 7, ["'rejected' is 7"]),
        ("p", "", "b", ["'chosen' is empty"]),
        ("p", "a", " \n", ["'rejected' is empty"]),
        ("", "a", "b", ["'prompt' is empty"]),
        (None, "a", "b", ["'prompt' is null"]),
        ("p", ..., "b", ["no 'chosen'", "prompt, rejected"]),
        ("p", [], "b", ["'chosen' is an empty list"]),
        ("p", "a", [BAD], ["both be texts"]),
        ([ASK], [None], [BAD], ["turn 1 of 'chosen' is None"]),
        ([ASK], [turn("assistant", None)], [BAD], ["turn 1 of 'chosen'", "content None"]),
        ([{"role": "user", "text": "x"}], [GOOD], [BAD], ["turn 1 of 'prompt'", "content None"]),
        ([turn("robot", "x")], [GOOD], [BAD], ["'robot'", "system, user, assistant, tool"]),
        ([GOOD], [GOOD], [BAD], ["turn 1", "assistant", "system or user"]),
        ([ASK, ASK], [GOOD], [BAD], ["turn 2", "user behind user"]),
        ([ASK, turn("system", "s")], [GOOD], [BAD], ["turn 2", "system"]),
        ([ASK, GOOD], [GOOD], [BAD], ["ends with a turn of assistant"]),
        ([turn("system", "s")], [GOOD], [BAD], ["ends with a turn of system"]),
        ([ASK], [ASK], [BAD], ["'chosen' ends with a turn of user"]),
        (..., [GOOD], [BAD], ["no prompt"]),
        (..., "4", "5", ["no prompt"]),
        (..., [ASK, GOOD], [turn("user", "else"), BAD], ["no prompt"]),
        ("p", "a\ud800", "b", ["half of a character"]),
        ([[ASK]], [GOOD], [BAD], ["turn 1 of 'prompt'"]),
        ("p", json.dumps([GOOD]), json.dumps([BAD]), ["'chosen' is a text that spells turns"]),
        (str([ASK]), "a", "b", ["'prompt' is a text that spells turns", "give the list"]),
        ({"a": 1}, "a", "b", ["turn 1 of 'prompt'", "role None"]),
    ],
)  # fmt: skip
def test_a_row_that_is_no_pair_says_what_is_wrong(prompt: Any, chosen: Any, rejected: Any, words: list[str]) -> None:
    with pytest.raises(NoPair) as fault:
        read(prompt, chosen, rejected)
    for word in words:
        assert word in str(fault.value)


def test_answers_that_part_several_turns_before_the_end_do_not_suit() -> None:
    with pytest.raises(Unsuited, match="answer_over_several_turns"):
        read([ASK], [GOOD, ASK, GOOD], [BAD])
    with pytest.raises(Unsuited):
        read(..., [ASK, GOOD, ASK, GOOD], [ASK, BAD, ASK, BAD])


def test_texts_that_part_several_turns_before_the_end_do_not_suit() -> None:
    def dialogue(*answers: str) -> str:
        return "".join(f"\n\nHuman: ask\n\nAssistant: {answer}" for answer in answers)

    with pytest.raises(Unsuited, match="answer_over_several_turns"):
        read(..., dialogue("4", "more"), dialogue("5", "less"))
    assert read(..., dialogue("4", "more"), dialogue("4", "less")).prompt == dialogue("4", "")[:-1]


@pytest.mark.parametrize(
    "row",
    [
        {"images": ["a.png"]},
        {"image": {"path": "a.png", "bytes": None}},
        {"prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]},
        {"prompt": [ASK, {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}, turn("tool", "4")]},
    ],
)
def test_what_is_more_than_text_does_not_suit(row: dict[str, Any]) -> None:
    with pytest.raises(Unsuited, match="more_than_text"):
        read_preference({"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD], **row}, PairColumnsConfig())


def test_columns_that_may_say_something_else_are_left_alone() -> None:
    row = {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD], "image": "python:3.12", "images": None}
    assert read_preference(row, PairColumnsConfig()) == SIMPLE


def test_columns_have_the_names_that_are_given() -> None:
    row = {"question": "q", "win": "a", "lose": "b", "prompt": None, "chosen": 3}
    assert read_preference(row, PairColumnsConfig("question", "win", "lose")) == Preference("q", (), "a", "b")
    assert (
        read_preference({"prompt": "else", "chosen": [ASK, GOOD], "rejected": [ASK, BAD]}, PairColumnsConfig(None))
        == SIMPLE
    )


def test_a_column_of_its_own_may_hold_the_system_turn() -> None:
    row = {"system": "Be brief.", "question": "What is 2 + 2?", "chosen": "4", "rejected": "5"}
    columns = PairColumnsConfig("question", system="system")
    turns = [turn("system", "Be brief."), ASK]
    assert read_preference(row, columns) == read(turns, "4", "5")
    assert read_preference({**row, "question": [ASK]}, columns) == read(turns, "4", "5")
    for empty in (None, "", " "):
        assert read_preference({**row, "system": empty}, columns) == SIMPLE
    for wrong, words in ((turns[:1], "'system' is .*: a text was expected"), ("\ud800", "'system' has")):
        with pytest.raises(NoPair, match=words):
            read_preference({**row, "system": wrong}, columns)
    with pytest.raises(NoPair, match="turn 2 of the prompt is of system behind system"):
        read_preference({**row, "question": turns}, columns)
    del row["system"]
    with pytest.raises(NoPair, match="there is no 'system'"):
        read_preference(row, columns)


@pytest.mark.parametrize(
    ("chosen", "rejected", "as_read"),
    [
        ("a\r\nb", "a\nc", ("a\nb", "a\nc")),
        ("a\r\nb\n", "a\r\nc\r\n", ("a\nb\n", "a\nc\n")),
        ("a\r\nb", "a\r\nc", ("a\r\nb", "a\r\nc")),
        ("a\r\nb", "c", ("a\r\nb", "c")),
        ("a\rb", "a\nb", ("a\rb", "a\nb")),
    ],
)
def test_line_endings_are_made_even_unless_they_are(chosen: str, rejected: str, as_read: tuple[str, str]) -> None:
    pair = read("p", chosen, rejected)
    assert (pair.chosen, pair.rejected) == as_read
