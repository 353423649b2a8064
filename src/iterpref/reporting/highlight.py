"""Program text as HTML: Python colours, line diffs, tokens shaded by mask and log-ratio. Everything is escaped here."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape
from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

from iterpref.data.diff import localise, split_lines

# Characters that could hide, or turn around, what a text says: shown by name instead. Newline and tab stay.
_HIDDEN = {c: chr(0x2400 + c) for c in range(0x20) if c not in (0x09, 0x0A)} | {
    c: f"[U+{c:04X}]"
    for first, last in ((0x7F, 0x9F), (0x61C, 0x61C), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x2069),
                        (0xD800, 0xDFFF), (0xFEFF, 0xFEFF))
    for c in range(first, last + 1)
}  # fmt: skip
_COLOURS = ((Comment, "c"), (String, "s"), (Keyword, "k"), (Operator.Word, "k"), (Number, "n"), (Name.Function, "f"),
            (Name.Class, "f"), (Name.Builtin, "b"), (Name.Decorator, "b"))  # fmt: skip
_LONGEST_COLOURED = 50_000  # characters; a longer text is shown without colours
_WHOLE_FILE = 60  # lines; a longer diff shows only what stands near a change
_CONTEXT = 4  # lines
_MOST_TOKENS = 1500  # of one side of a pair
# |log-ratio| in nats at which the bar under a token becomes one step thicker: fixed, so that reports can be compared.
LEVELS = (0.1, 0.3, 1.0, 3.0)


def visible(text: str) -> str:
    """The text with control characters, lone surrogates, bidi and zero-width marks spelled out."""
    return text.translate(_HIDDEN)


def _colour(kind: _TokenType) -> str:
    return next((css for parent, css in _COLOURS if kind in parent), "")


def python_lines(text: str) -> list[Markup]:
    """One piece of HTML for each line of `split_lines(text)`."""
    if len(text) > _LONGEST_COLOURED:
        return [escape(visible(line)) for line in split_lines(text)]
    lines: list[list[Markup]] = [[]]
    # The unprocessed stream keeps every character; get_tokens() would turn a lone "\r" into a line of its own.
    for _, kind, value in PythonLexer().get_tokens_unprocessed(text):
        css = _colour(kind)
        for number, part in enumerate(value.split("\n")):
            if number:
                lines.append([])
            if part:
                html = escape(visible(part))
                lines[-1].append(Markup(f'<span class="{css}">{html}</span>') if css and not part.isspace() else html)
    joined = [Markup("").join(parts) for parts in lines]
    return joined[:-1] if text.endswith("\n") or not text else joined


@dataclass(frozen=True)
class DiffLine:
    """`kind`: "same", "minus", "plus", or "gap" for lines left out. `number` is 1-based, in the line's own text."""

    kind: str
    number: int | None
    html: Markup


def diff_lines(old: str, new: str) -> list[DiffLine]:
    """The two texts merged line by line, by the same LCS that places D- and D+."""
    difference = localise(old, new)
    minus, plus = set(difference.d_minus), set(difference.d_plus)
    old_html, new_html = python_lines(old), python_lines(new)
    merged: list[DiffLine] = []
    i = j = 0
    while i < len(old_html) or j < len(new_html):
        if i in minus:
            merged.append(DiffLine("minus", i + 1, old_html[i]))
            i += 1
        elif j in plus:
            merged.append(DiffLine("plus", j + 1, new_html[j]))
            j += 1
        else:
            merged.append(DiffLine("same", j + 1, new_html[j]))
            i, j = i + 1, j + 1
    return merged if len(merged) <= _WHOLE_FILE else _near_changes(merged)


def _near_changes(lines: list[DiffLine]) -> list[DiffLine]:
    changed = [at for at, line in enumerate(lines) if line.kind != "same"]
    kept: list[DiffLine] = []
    left_out = 0
    for at, line in enumerate(lines):
        after = bisect_right(changed, at)
        near = [abs(at - changed[k]) for k in (after - 1, after) if 0 <= k < len(changed)]
        if near and min(near) <= _CONTEXT:
            if left_out:
                kept.append(_gap(left_out))
            kept.append(line)
            left_out = 0
        else:
            left_out += 1
    return [*kept, _gap(left_out)] if left_out else kept


def _gap(count: int) -> DiffLine:
    return DiffLine("gap", None, Markup(f"\u22ef {count} unchanged line{'' if count == 1 else 's'}"))


@dataclass(frozen=True)
class TokenSide:
    """One side of a pair. Sums of log-ratios are in nats, over the shaded tokens and over all."""

    html: Markup
    n_tokens: int
    n_shaded: int
    shaded_sum: float
    all_sum: float
    left_out: int


def token_side(text: str, tokens: Sequence[dict[str, Any]], shade: str) -> TokenSide:
    """Shades tokens whose `shade` ("mask" or "focal") is above 0; a bar shows log-ratio = logp - ref_logp by `LEVELS`.

    Tokens that share a character (bytes of one letter) are shown after it as an empty box each.
    """
    parts: list[Markup] = []
    cursor = 0
    for token in tokens[:_MOST_TOKENS]:
        start, end = max(token["start"], cursor), max(token["end"], cursor)
        if start > cursor:
            parts.append(escape(visible(text[cursor:start])))
        parts.append(_token(text, start, end, token, shade))
        cursor = end
    if len(tokens) <= _MOST_TOKENS:
        parts.append(escape(visible(text[cursor:])))
    ratios = [log_ratio(token) for token in tokens]
    shaded = [ratio for ratio, token in zip(ratios, tokens, strict=True) if token[shade]]
    return TokenSide(
        html=Markup("").join(parts),
        n_tokens=len(tokens),
        n_shaded=len(shaded),
        shaded_sum=sum(shaded),
        all_sum=sum(ratios),
        left_out=max(len(tokens) - _MOST_TOKENS, 0),
    )


def log_ratio(token: dict[str, Any]) -> float:
    """log pi(token) - log pi_ref(token), nats."""
    return token["logp"] - token["ref_logp"]


def level(ratio: float) -> str:
    """CSS class of the bar: "" below 0.1 nats, else "u1".."u4" (more likely) or "d1".."d4" (less likely)."""
    step = bisect_right(LEVELS, abs(ratio))
    return f"{'u' if ratio > 0 else 'd'}{step}" if step else ""


def _token(text: str, start: int, end: int, token: dict[str, Any], shade: str) -> Markup:
    piece = text[start:end]
    ratio = log_ratio(token)
    classes = [css for css in ("x" if token[shade] else "", level(ratio), "" if piece.strip() else "w") if css]
    weight = f"; weight {token['mask']:g}" if token["mask"] else "; not counted"
    tip = f"log-prob {token['ref_logp']:.2f} \u2192 {token['logp']:.2f}; log-ratio {ratio:+.2f}{weight}".replace(
        "-", "\u2212"
    )
    tip = tip.replace("log\u2212", "log-")
    attribute = Markup(' class="{}"').format(" ".join(classes)) if classes else Markup("")
    return Markup('<i{} data-t="{}">{}</i>').format(attribute, tip, _shown(piece, start == len(text)))


def _shown(piece: str, at_end: bool) -> str:
    if not piece:
        return "\u27e8eos\u27e9" if at_end else "\u25af"
    if piece.isspace():
        piece = piece.replace(" ", "\u00b7").replace("\t", "\u21e5")
    return visible(piece).replace("\n", "\u21b5\n")
