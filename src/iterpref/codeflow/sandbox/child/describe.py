"""An exception as a developer wants to read it: the task's own frames with their source lines, then the message."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from types import TracebackType

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_CHARS = 2000
FIRST_FRAMES, LAST_FRAMES = 3, 8
FORKS = frozenset({"fork", "forkpty", "_fork_exec", "fork_exec", "posix_spawn", "posix_spawnp"})


def describe(error: BaseException, sources: Mapping[str, tuple[str, str]]) -> str:
    """Frames, message, and the exceptions behind it, at most `MAX_CHARS`. `sources`: path -> (name, text)."""
    frames = _frames(error.__traceback__, sources)
    if len(frames) > FIRST_FRAMES + LAST_FRAMES + 1:
        cut = len(frames) - FIRST_FRAMES - LAST_FRAMES
        frames[FIRST_FRAMES:-LAST_FRAMES] = [f"  ... {cut} more frames ..."]
    lines = ["Traceback (most recent call last):", *frames] if frames else []
    lines += [headline(error)]
    seen, behind = {id(error)}, _behind(error)
    while behind is not None and id(behind) not in seen and len(seen) < 4:
        lines.append(f"  caused by {headline(behind)}")
        seen.add(id(behind))
        behind = _behind(behind)
    text = "\n".join(lines)
    if len(text) <= MAX_CHARS:
        return text
    half = MAX_CHARS // 2
    return f"{text[: half - 20]}\n... cut ...\n{text[-half + 20 :]}"


def headline(error: BaseException) -> str:
    """`Type: message`; the message is the program's own, so it may be endless or refuse to be read."""
    name = type(error).__name__
    try:
        message = _message(error)
    except Exception:
        message = "<its message cannot be read>"
    return f"{name}: {message}" if message else name


def _message(error: Any) -> str:
    if issubclass(type(error), SyntaxError) and error.lineno is not None:
        return f"{error.msg!s:.{MAX_CHARS}} (line {error.lineno!s:.20})\n    {str(error.text or '').strip()[:200]}"
    return str.__getitem__(str(error), slice(MAX_CHARS * 2))  # the text may be of a class of the program's own


def cause_of(error: Any) -> str:
    """The limit that brought an exception about, in the words of `wire`, or ""."""
    kind: Any = type(error)  # what `isinstance` asks for, an exception may lie about
    if issubclass(kind, MemoryError):
        return wire.MEMORY
    if kind is RuntimeError and error.args == ("can't start new thread",):
        return wire.PROCESSES
    if kind is BlockingIOError and error.errno == errno.EAGAIN:
        # A socket that has nothing to read says the same: only a call that forks means the limit.
        entry = error.__traceback__
        while entry is not None:
            if entry.tb_next is None and FORKS.intersection(entry.tb_frame.f_code.co_names):
                return wire.PROCESSES
            entry = entry.tb_next
    return ""


def _behind(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(entry: TracebackType | None, sources: Mapping[str, tuple[str, str]]) -> list[str]:
    shown = []
    lines = {name: text.splitlines() for name, (_, text) in sources.items()} if entry is not None else {}
    while entry is not None:
        code = entry.tb_frame.f_code
        if code.co_filename in sources:
            own = lines[code.co_filename]
            source = own[entry.tb_lineno - 1].strip() if 0 < entry.tb_lineno <= len(own) else ""
            shown.append(
                f'  File "{sources[code.co_filename][0]}", line {entry.tb_lineno}, in {code.co_name}\n    {source[:200]}'
            )
        entry = entry.tb_next
    return shown
