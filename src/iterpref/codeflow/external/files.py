"""One file of rows, read as a stream: a JSON list, JSON lines (either may be gzipped) or Parquet, told apart by content."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from iterpref import strict_json
from iterpref.codeflow.external.records import records_of
from iterpref.errors import UserError
from iterpref.json_lines import BadRow, Row, as_object, json_lines

_CHUNK = 1 << 20  # characters; an object longer than that is read in steps that double
_FORMATS = "a JSON list, JSON lines or Parquet (JSON may be gzipped)"
_BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
# What stands in the place of the data, and how to get at that.
_MISTAKEN = {
    b"version https://git-lfs": "a pointer of Git LFS came, which stands for the file: fetch that with git lfs pull",
    b"<": "a web page came: download the file itself (the raw one)",
    b"ARROW1": "an Arrow file came: turn it into Parquet, or give the folder that datasets.save_to_disk wrote",
    b"\xff\xff\xff\xff": "an Arrow stream came: turn it into Parquet, or give the folder that datasets.save_to_disk wrote",
}


Rows = Iterator[tuple[int, Row]]  # numbered from 1: the line of JSON lines, else the row


def file_format(path: Path, option: str = "pairs.path") -> str:
    """`list`, `lines` or `parquet`, by the first bytes; raises `UserError` for anything else."""
    with path.open("rb") as raw:
        head = raw.read(4)
    if not head:
        raise UserError(f"{option}={path}: the file is empty; {_FORMATS} was expected")
    if head == b"PAR1":
        return "parquet"
    if head[:2] in (b"PK", b"7z", b"BZ") or head in (b"(\xb5/\xfd", b"\xfd7zX"):
        raise UserError(f"{option}={path}: a packed file; unpack it first: {_FORMATS} is read")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head == b"\0\0\xfe\xff":
        code = "UTF-32" if head in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE) else "UTF-16"
        raise UserError(f"{option}={path}: the file is {code}, and UTF-8 was expected: iconv -f {code} -t UTF-8 FILE")
    with _open(path) as file:
        start = _first_bytes(file, option, path)
    if start[:1] == b"[":
        return "list"
    if start[:1] == b"{":
        return "lines"
    if not start:
        raise UserError(f"{option}={path}: the file holds nothing but white space; {_FORMATS} was expected")
    for beginning, told in _MISTAKEN.items():
        if start.startswith(beginning):
            raise UserError(f"{option}={path}: {_FORMATS} was expected, and {told}")
    name = path.name.removesuffix(".gz").lower()
    shown = start[:40].decode("utf-8", "replace").splitlines()[0]
    if name.endswith((".csv", ".tsv")) or (b"," in start and name.endswith(".txt")):
        how = "keep_default_na=False" + (", sep='\\t'" if b"\t" in start.partition(b"\n")[0] else "")
        raise UserError(
            f"{option}={path}: CSV loses the difference between an empty and a missing text; turn it into JSON lines: "
            f"python -c \"import pandas; pandas.read_csv('{path}', {how}).to_json('pairs.jsonl', orient='records', lines=True)\""
        )
    raise UserError(f"{option}={path}: {_FORMATS} was expected, and the file begins with {shown!r}")


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _first_bytes(file: IO[bytes] | gzip.GzipFile, option: str, path: Path) -> bytes:
    try:
        start = file.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()
        while not start and (more := file.read(_CHUNK)):
            start = more.lstrip()
    except _BROKEN_GZIP as error:
        raise UserError(f"{option}={path}: the gzip file is broken ({error})") from None
    return start


def read_rows(path: Path, kind: str, columns: Sequence[str] | None = None) -> Rows:
    """The rows in order, as a stream; of Parquet only `columns`. Raises `UserError` with the line where a file breaks off."""
    try:
        if kind == "parquet":
            yield from _parquet(path, columns)
        elif kind == "lines":
            with _open(path) as file:
                yield from json_lines(file)
        else:
            yield from _ListReader(path).rows()
    except _BROKEN_GZIP as error:
        raise UserError(f"{path}: the gzip file is broken ({error})") from None


def parquet_columns(path: Path) -> list[str]:
    """Names of the columns; raises `UserError` for a file that is cut off."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: of a column's name
        raise UserError(f"pairs.path={path}: not readable as Parquet ({str(error).splitlines()[0]})") from None
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"pairs.path={path}: several columns are called '{twice[0]}': rename all but one")
    return names


def _parquet(path: Path, columns: Sequence[str] | None) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=512, columns=list(columns) if columns else None):
                for row in records_of(batch):
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: of a column's name
        if getattr(error, "errno", None):  # the disk's fault
            raise
        raise UserError(f"{path}: not readable as Parquet behind row {number} ({str(error).splitlines()[0]})") from None


class _ListReader:
    """A JSON list element by element: `text[at:]` is what was read and not yet used, `line` the line of `at`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.decoder = strict_json.Decoder()
        self.text, self.at, self.line, self.ended = "", 0, 1, False

    def rows(self) -> Rows:
        number = 0
        with _open(self.path) as raw:
            self.file = codecs.getreader("utf-8-sig")(raw)
            self._expect("[", "a list")
            while self._peek() != "]" or number:
                number += 1
                yield number, self._value(number)
                if self._peek() == "]":
                    break
                self._expect(",", f"',' or ']' behind row {number}")
                if self._peek() == "]":
                    raise self._error(f"a row was expected behind the ',' of row {number}, and the list ends")
            self.at += 1
            if rest := self._peek():
                raise self._error(f"the list ended, and {rest!r} came")

    def _value(self, number: int) -> Row:
        self._peek()
        size = _CHUNK
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                # An error well before the end is one; at the end, or in a text without its quote, more may mend it.
                cut = error.msg.startswith("Unterminated string") or error.pos > len(self.text) - 16
                if not cut or self.ended:
                    broken = "the file ends in it" if self.ended and cut else error.msg
                    self._advance(min(error.pos, len(self.text)))
                    raise self._error(f"row {number} is no valid JSON ({broken})") from None
            except RecursionError:
                raise self._error(f"row {number} is nested too deep") from None
            else:
                self._advance(end)
                return BadRow(strict_json.twice(self.decoder.doubled)) if self.decoder.doubled else as_object(value)
            self._read(size)
            size *= 2

    def _peek(self) -> str:
        """The next character that is no white space, or an empty text at the end of the file."""
        while True:
            at = self.at
            while at < len(self.text) and self.text[at] in " \t\r\n":
                at += 1
            self._advance(at)
            if at < len(self.text) or self.ended:
                return self.text[at : at + 1]
            self._read(_CHUNK)

    def _expect(self, mark: str, what: str) -> None:
        if (came := self._peek()) != mark:
            raise self._error(f"{what} was expected, and {came!r} came" if came else f"{what} was expected, and the file ends")  # fmt: skip
        self.at += 1

    def _advance(self, at: int) -> None:
        self.line += self.text.count("\n", self.at, at)
        self.at = at

    def _read(self, size: int) -> None:
        try:
            more = self.file.read(size)
        except UnicodeDecodeError as error:
            raise self._error(f"not UTF-8 ({error.reason}) in or after this line") from None
        self.ended = not more
        self.text, self.at = self.text[self.at :] + more, 0

    def _error(self, message: str) -> UserError:
        return UserError(f"{self.path}:{self.line}: {message}; mend the file there")
