"""A row of anyone's preference data -> prompt, chosen, rejected: TRL's formats, plain and conversational.

The prompt stands in a column of its own (a text, or turns), or is what `chosen` and `rejected` have in common at their beginning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from iterpref.codeflow.code import first_fence
from iterpref.config.pairs import PairColumnsConfig
from iterpref.schema import Message

_ROLES = {
    "human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant", "ai": "assistant", "developer": "system",
    "function": "tool", "ipython": "tool", "observation": "tool",
}  # fmt: skip
_KNOWN = ("system", "user", "assistant", "tool")
_LAST_TURN = re.compile(r"\n\nAssistant:")  # how hh-rlhf and its kin mark turns in plain text
_NEXT_TURN = "\n\nHuman:"
# A list of turns that went through a CSV file, say: JSON, or as Python prints it.
_TURNS_AS_TEXT = re.compile(r"""\s*\[\s*\{\s*["'](role|from|content|value)["']\s*:""")
IMAGES = ("images", "image")  # columns beside the texts, by TRL's names


class NoPair(Exception):
    """The row cannot be read as a pair: a fault of the data."""


class Unsuited(Exception):
    """The row is a sound preference, but none that this method can use; its text is the reason to count."""


@dataclass(frozen=True)
class Preference:
    """`messages` is empty where the prompt is the user's only turn."""

    prompt: str
    messages: tuple[Message, ...]
    chosen: str
    rejected: str


def read_preference(row: dict[str, Any], columns: PairColumnsConfig) -> Preference:
    """The pair in a row. Raises `NoPair` naming column and value, or `Unsuited`."""
    # An `image` that is a text may be anything, a container's say.
    if any(row.get(name) and not isinstance(row[name], str) for name in IMAGES):
        raise Unsuited("more_than_text")
    chosen = _side(row, columns.chosen)
    rejected = _side(row, columns.rejected)
    prompt = None
    if columns.prompt is not None and columns.prompt in row:
        prompt = _side(row, columns.prompt)
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise NoPair(f"'{columns.chosen}' and '{columns.rejected}' must both be texts, or both be turns")
    if isinstance(chosen, str):
        assert isinstance(rejected, str)
        if prompt is None:
            prompt, chosen, rejected = _split_text(chosen, rejected)
        turns = [Message("user", prompt)] if isinstance(prompt, str) else prompt
    else:
        assert not isinstance(rejected, str)
        turns, chosen, rejected = _split_turns(prompt, chosen, rejected, columns)
    turns = [*_system(row, columns.system), *turns]
    _check_turns(turns)
    text, messages = _flat(turns)
    for name, value in ((columns.prompt or "prompt", text), (columns.chosen, chosen), (columns.rejected, rejected)):
        if not value.strip():
            raise NoPair(f"'{name}' is empty")
        check_text(name, value)
    return Preference(text, messages, _newlines(chosen, rejected), _newlines(rejected, chosen))


def _system(row: dict[str, Any], name: str | None) -> list[Message]:
    """The turn in a column of its own; null or an empty text: none."""
    if name is None:
        return []
    said = row.get(name) or ""
    if name not in row or not isinstance(said, str):
        raise NoPair(f"'{name}' is {said!r:.60}: a text was expected" if said else f"there is no '{name}'")
    check_text(name, said)
    return [Message("system", said)] if said.strip() else []


def _side(row: dict[str, Any], name: str) -> str | list[Message]:
    """A column as a text, or as turns."""
    if name not in row:
        raise NoPair(f"there is no '{name}', only {', '.join(sorted(row)) or 'nothing'}")
    value = row[name]
    if isinstance(value, str):
        if _TURNS_AS_TEXT.match(value):
            raise NoPair(f"'{name}' is a text that spells turns ({value[:40]!r}): give the list of turns itself")
        return value
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list):
        if not value:
            raise NoPair(f"'{name}' is an empty list")
        if all(isinstance(item, str) for item in value):
            raise NoPair(
                f"'{name}' is a list of {len(value)} text(s): one answer was expected, a text or turns; of ranked or several "
                "answers write the better and the worse one into columns of their own, a row each"
            )
        return [_message(turn, f"turn {i} of '{name}'") for i, turn in enumerate(value, 1)]
    shown = "null" if value is None else f"{value!r:.60}"
    raise NoPair(f"'{name}' is {shown}: a text, or a list of turns with role and content, was expected")


def _message(turn: Any, place: str) -> Message:
    if not isinstance(turn, dict):
        raise NoPair(f"{place} is {turn!r:.60}: an object with role and content was expected")
    role = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value"))
    if turn.get("tool_calls"):
        raise Unsuited("more_than_text")
    if isinstance(content, list) and all(isinstance(part, dict) and "type" in part for part in content):
        if any(part["type"] != "text" for part in content):
            raise Unsuited("more_than_text")  # images, sounds
        if all(isinstance(part.get("text"), str) for part in content):
            content = "".join(part["text"] for part in content)
    if content is None and role == "system":
        content = ""
    if not isinstance(role, str) or not isinstance(content, str):
        raise NoPair(f"{place} has role {role!r:.40} and content {content!r:.60}: two texts were expected")
    role = _ROLES.get(role.lower(), role.lower())
    if role not in _KNOWN:
        raise NoPair(f"{place} has the role {role!r}, which is none of {', '.join(_KNOWN)}")
    return Message(role, content)


def _split_turns(
    prompt: str | list[Message] | None, chosen: list[Message], rejected: list[Message], columns: PairColumnsConfig
) -> tuple[list[Message], str, str]:
    """Turns of the prompt, and the one answer on either side."""
    if isinstance(prompt, list):
        chosen, rejected = _behind(prompt, chosen), _behind(prompt, rejected)
        turns = prompt
    else:
        shared = 0
        # The last turn of either side is an answer, also where both answers are equal.
        while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
            shared += 1
        turns, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
        if not turns:
            if prompt is None:
                raise NoPair(
                    f"there is no prompt: '{columns.chosen}' and '{columns.rejected}' begin with different turns"
                )
            turns = [Message("user", prompt)]
    for name, side in ((columns.chosen, chosen), (columns.rejected, rejected)):
        if side[-1].role != "assistant":
            raise NoPair(f"'{name}' ends with a turn of {side[-1].role}: an answer of assistant was expected")
    if len(chosen) > 1 or len(rejected) > 1:
        raise Unsuited("answer_over_several_turns")
    return turns, chosen[0].content, rejected[0].content


def _behind(prompt: list[Message], side: list[Message]) -> list[Message]:
    """What follows the prompt, where a side repeats it."""
    return side[len(prompt) :] if len(side) > len(prompt) and side[: len(prompt)] == prompt else side


def _split_text(chosen: str, rejected: str) -> tuple[str, str, str]:
    """A prompt that both texts begin with: up to their last shared "Assistant:", else whole lines before the first shared fence."""
    shared = 0
    for a, b in zip(chosen, rejected, strict=False):
        if a != b:
            break
        shared += 1
    common = chosen[:shared]
    marks = [m.end() for m in _LAST_TURN.finditer(common)]
    if marks:
        cut = marks[-1]
    else:
        fence = first_fence(common)
        cut = fence if fence is not None else common.rfind("\n") + 1
    if not common[:cut].strip():
        raise NoPair("there is no prompt: the two answers do not begin alike")
    if marks and (_NEXT_TURN in chosen[cut:] or _NEXT_TURN in rejected[cut:]):
        raise Unsuited("answer_over_several_turns")
    return chosen[:cut], chosen[cut:], rejected[cut:]


def _check_turns(turns: list[Message]) -> None:
    """A system turn first or not at all, then user and assistant in turn (tools behind an assistant), the user or a tool last."""
    before = ""
    for i, turn in enumerate(turns, 1):
        allowed = {
            "": ("system", "user"), "system": ("user",), "user": ("assistant",),
            "assistant": ("user", "tool"), "tool": ("assistant", "tool", "user"),
        }[before]  # fmt: skip
        if turn.role not in allowed:
            raise NoPair(
                f"turn {i} of the prompt is of {turn.role} behind {before or 'nothing'}: {' or '.join(allowed)} was expected"
            )
        before = turn.role
    if before not in ("user", "tool"):
        raise NoPair(f"the prompt ends with a turn of {before or 'nobody'}: user was expected")


def _flat(turns: list[Message]) -> tuple[str, tuple[Message, ...]]:
    kept = [t for t in turns if t.role != "system" or t.content.strip()]  # many data sets carry an empty system turn
    if len(kept) == 1:
        return kept[0].content, ()
    return "\n\n".join(f"{t.role}: {t.content}" for t in kept), tuple(kept)


def check_text(name: str, value: str) -> None:
    """Raises `NoPair` for a text that is none: UTF-8 cannot write it."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise NoPair(
            f"'{name}' has {error.object[error.start]!r}, half of a character, which no file can hold"
        ) from None


def _newlines(text: str, other: str) -> str:
    """`text` with "\\n" for "\\r\\n", unless every line of both ends in "\\r\\n": lines that differ by their ending alone are no errors."""
    if "\r\n" not in text:
        return text
    uniform = all(t.count("\n") == t.count("\r\n") for t in (text, other))
    return text if uniform else text.replace("\r\n", "\n")
