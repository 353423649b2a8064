"""Completion text -> token ids with the characters of each token, checked: what the masks rest on.

Each text is tokenised once, without BOS (a token in front would shift every mask), and a special token's name inside the
text stays text: `x = "<|im_end|>"` must not teach a model to stop.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from iterpref.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ints = npt.NDArray[np.int32]
_CHARACTERS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Tokens:
    """One completion without its EOS: `ids`, and the characters [start, end) that each token stands for, all int32."""

    ids: Ints
    starts: Ints
    ends: Ints


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises `UserError` when no focal mask can be made with this tokenizer."""
    if not tokenizer.is_fast:
        raise UserError(
            "this tokenizer gives no character offsets (it is not a fast one): focal masks need them; use a fast tokenizer"
        )
    if tokenizer.eos_token_id is None:
        raise UserError(
            "this tokenizer has no eos_token: set one in its tokenizer_config.json, a completion must be able to end"
        )


def encode_completions(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], names: Sequence[str]) -> list[Tokens]:
    """Tokens of each text; `names` say in an error which record a text belongs to.

    Raises:
        UserError: when offsets do not cover the text, or the tokens do not spell it: any mask would be wrong.
    """
    who = [f"tokenizer {tokenizer.name_or_path}, {name}" for name in names]
    for text, name in zip(texts, who, strict=True):
        if not text.isascii() and not encodable(text):
            raise UserError(
                f"{name}: the text holds a lone surrogate, which no tokenizer reads; mend or drop the record"
            )
    spelling = _Spelling.of(tokenizer)
    tokens: dict[int, Tokens] = {}
    if spelling.byte_level:
        for i, encoding in enumerate(_encode(tokenizer, texts, special_as_text=True, offsets=False)):
            placed = spelling.place(texts[i], encoding.ids, who[i])
            if placed is not None:
                tokens[i] = placed
    others = [i for i in range(len(texts)) if i not in tokens]
    for i, encoding in zip(others, _encode(tokenizer, [texts[i] for i in others], special_as_text=True), strict=True):
        # Twice as fast as an array of the tuples.
        flat = np.fromiter(chain.from_iterable(encoding.offsets), np.int32, 2 * len(encoding.ids))
        one = Tokens(np.array(encoding.ids, np.int32), flat[0::2], flat[1::2])
        if spelling.check(texts[i], encoding.ids, one.ids, who[i]) == "normal form":
            one = _with_marks(one, len(texts[i]))
        check_offsets(texts[i], one, who[i])
        tokens[i] = one
    return [tokens[i] for i in range(len(texts))]


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, special_as_text: bool, offsets: bool = True
) -> Iterator[Any]:
    """`tokenizer(texts, add_special_tokens=False, split_special_tokens=special_as_text)`, without the copies that it makes.

    Some texts at a time, for an encoding takes many times the memory of its text. Without `offsets`, which cost a tenth of the
    time, they are all zero.
    """
    backend: Any = tokenizer.backend_tokenizer  # type: ignore[attr-defined]
    encode = backend.encode_batch if offsets else backend.encode_batch_fast
    start = size = 0
    for i, text in enumerate(texts):
        size += len(text)
        if size >= _CHARACTERS_AT_ONCE or i + 1 == len(texts):
            backend.no_truncation()
            backend.no_padding()
            backend.encode_special_tokens = special_as_text  # the tokenizer sets it anew for each of its own calls
            yield from encode(list(texts[start : i + 1]), add_special_tokens=False)
            start, size = i + 1, 0


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], contents: Sequence[Sequence[str]], names: Sequence[str]
) -> list[list[int]]:
    """Token ids of each rendered prompt. The template's special tokens are special; their names inside `contents` stay text.

    `contents` are the words of the turns that went into the template; none for a prompt that is used as it is.

    Raises:
        UserError: when such a name is there and the template changed the words around it.
    """
    ids: list[list[int]] = [
        encoding.ids for encoding in _encode(tokenizer, prompts, special_as_text=False, offsets=False)
    ]
    special = [str(t) for t in tokenizer.added_tokens_decoder.values() if t.special]  # type: ignore[attr-defined]
    for i, words in enumerate(contents):
        if any(name in word for word in words for name in special):
            ids[i] = _apart(tokenizer, prompts[i], words, special, f"tokenizer {tokenizer.name_or_path}, {names[i]}")
    return ids


def _apart(
    tokenizer: PreTrainedTokenizerBase, prompt: str, words: Sequence[str], special: Sequence[str], who: str
) -> list[int]:
    """Template and words tokenised piece by piece: two tokens may stand where one of the whole would have straddled."""
    ids: list[int] = []
    done = 0
    marks = [m.span() for m in re.finditer("|".join(map(re.escape, sorted(special, key=len, reverse=True))), prompt)]
    for word in words:
        at = _find(prompt, word.strip(), done, marks)
        if at < 0:
            raise UserError(
                f"{who}: the prompt names a special token of the tokenizer, and the chat template rewrites the text around it, "
                "so that it cannot be kept as text; drop the record, or set model.prompt_format=plain"
            )
        ids += tokenizer(prompt[done:at], add_special_tokens=False)["input_ids"]
        done = at + len(word.strip())
        ids += tokenizer(prompt[at:done], add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids + tokenizer(prompt[done:], add_special_tokens=False)["input_ids"]


def _find(prompt: str, word: str, done: int, marks: Sequence[tuple[int, int]]) -> int:
    """The first place of the word that cuts none of `marks` in two, or -1: an "a" must not be that of "<|assistant|>"."""

    def cuts(at: int) -> bool:
        before = bisect_left(marks, (at,)) - 1
        return before >= 0 and at < marks[before][1]

    at = prompt.find(word, done)
    while at >= 0 and word and (cuts(at) or cuts(at + len(word))):
        at = prompt.find(word, at + 1)
    return at


def _with_marks(tokens: Tokens, length: int) -> Tokens:
    """A token of a composed character has the place of its base alone: its combining marks belong to it too."""
    following = np.append(tokens.starts[1:], np.int32(length))
    return Tokens(tokens.ids, tokens.starts, np.maximum(tokens.ends, following))


def check_offsets(text: str, tokens: Tokens, who: str) -> None:
    """Raises `UserError` unless the offsets are in order and cover every character of `text`."""
    starts, ends = tokens.starts, tokens.ends
    if (
        len(ends)
        and starts[0] == 0
        and ends[-1] == len(text)
        and (starts[1:] == ends[:-1]).all()
        and (starts < ends).all()
    ):
        return  # end to end, as nearly always
    reached = np.maximum.accumulate(ends) if len(ends) else ends
    before, after = np.concatenate(([0], starts[:-1])), np.concatenate(([0], reached[:-1]))
    wrong = (starts < before) | (starts > after) | (starts > ends)
    if wrong.any():
        i = int(wrong.argmax())
        jump = (
            f"over characters {after[i]} to {starts[i]}"
            if starts[i] > after[i]
            else f"from character {before[i]} to {min(starts[i], ends[i])}"
        )
        raise UserError(f"{who}: token offsets jump {jump}: they do not give the text back")
    covered = int(reached[-1]) if len(reached) else 0
    if covered != len(text):
        raise UserError(
            f"{who}: token offsets cover {covered} of {len(text)} characters: they do not give the text back"
        )


class _Spelling:
    """What each id stands for, in bytes: tokens must spell the text, but for a space in front and Unicode's normal forms."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        backend: Any = tokenizer.backend_tokenizer  # type: ignore[attr-defined]
        decoder = "" if backend.decoder is None else backend.decoder.__getstate__().decode()
        self.byte_level = '"ByteLevel"' in decoder
        # The decoders of other families (WordPiece, CTC) join words by rules of their own: the offsets alone are checked.
        self.known = self.byte_level or "\u2581" in decoder
        self.unknown = tokenizer.unk_token_id
        added = {int(i): str(token) for i, token in tokenizer.added_tokens_decoder.items()}  # type: ignore[attr-defined]
        self.special = {tokenizer.eos_token_id, tokenizer.bos_token_id} - {self.unknown, None}
        size = max([len(tokenizer), *(i + 1 for i in added)])
        self.pieces = [
            added[i].encode() if i in added else self._piece(piece or "")
            for i, piece in enumerate(tokenizer.convert_ids_to_tokens(list(range(size))))
        ]  # fmt: skip
        self.lengths = np.array([len(piece) for piece in self.pieces], np.int32)

    def _piece(self, token: str) -> bytes:
        if self.byte_level:
            table = _byte_table()
            return bytes(table[c] for c in token) if all(c in table for c in token) else token.encode()
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            return bytes([int(token[3:5], 16)])
        return token.replace("\u2581", " ").encode()

    @staticmethod
    def of(tokenizer: PreTrainedTokenizerBase) -> _Spelling:
        made = tokenizer.__dict__.get("_iterpref_spelling")
        if made is None:
            made = tokenizer.__dict__["_iterpref_spelling"] = _Spelling(tokenizer)
        return made

    def place(self, text: str, ids: Sequence[int], who: str) -> Tokens | None:
        """The characters of each token, where the tokens spell the text byte by byte: no offset has to be believed.

        A token that begins inside a character begins with it, and one that ends inside it ends behind it. None: the tokens
        spell no text, or another. Raises `UserError` as `check` does for a special token.
        """
        ids_T = np.array(ids, np.int32)
        self._refuse_special(ids, ids_T, who)
        lengths = self.lengths[ids_T]
        data, spelt = text.encode(), self._spelt(ids)
        in_front = int(len(data) > 0 and spelt == b" " + data)
        if not (in_front or spelt == data) or not lengths.all() or self._holds_unknown(ids_T):
            return None
        ends = np.cumsum(lengths, dtype=np.int32)
        starts = ends - lengths
        if in_front or len(data) != len(text):
            # The character of each byte of `spelt`: continuation bytes are 10xxxxxx, and a space in front goes with the first.
            begins = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80
            of = np.concatenate([np.zeros(in_front, np.int32), np.cumsum(begins, dtype=np.int32) - np.int32(1)])
            starts, ends = of[starts], of[ends - 1] + np.int32(1)
        return Tokens(ids_T, starts, ends)

    def check(self, text: str, ids: Sequence[int], ids_T: Ints, who: str) -> str:
        """`exact`, `normal form` when the tokens spell another Unicode form of the text, or `unknown`; else raises `UserError`.

        `ids_T` are the same ids, in which one is found faster.
        """
        self._refuse_special(ids, ids_T, who)
        if not self.known or self._holds_unknown(ids_T):
            return "unknown"
        data, spelt = text.encode(), self._spelt(ids)
        if spelt == data or spelt == b" " + data:
            return "exact"
        ours, theirs = (_folded(s) for s in (text, spelt.decode("utf-8", "replace")))
        if ours != theirs:
            at = next(
                (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
            )
            raise UserError(
                f"{who}: the tokens spell {theirs[at : at + 12]!r} where the text has {ours[at : at + 12]!r}: "
                "they do not give the text back"
            )
        return "normal form"

    def _spelt(self, ids: Sequence[int]) -> bytes:
        return b"".join(map(self.pieces.__getitem__, ids))

    def _holds_unknown(self, ids_T: Ints) -> bool:
        return self.unknown is not None and bool((ids_T == self.unknown).any())

    def _refuse_special(self, ids: Sequence[int], ids_T: Ints, who: str) -> None:
        if any((ids_T == special).any() for special in self.special):
            name = self.pieces[next(i for i in ids if i in self.special)].decode()
            raise UserError(
                f"{who}: the text {name!r} becomes the special token of that name, "
                "which would teach the model to use it there; drop the record, or use another tokenizer"
            )


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text.replace("\u2581", " ")).lstrip(" ")


def encodable(text: str) -> bool:
    """Whether the text is free of lone surrogates, which no tokenizer reads."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache
def _byte_table() -> dict[str, int]:
    """Byte-level BPE writes each byte as one printable character: the printable ones as themselves, the others from U+0100 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}
