"""The records of a study in one small file, which `table` reads in their folder's place.

xz of JSON Lines: a head with the counts; the records by name; the failures. What is true of one machine alone is left out.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from iterpref.errors import UserError, nearest_file
from iterpref.run_record import write_whole
from iterpref.study.plan import Study
from iterpref.study.records import Stored, check_records, failure_of, portable, read_folder, record_of

SUFFIX = ".jsonl.xz"
_FORMAT, _VERSION = "iterpref_study", 1
_MAGIC = b"\xfd7zXZ\x00"


def stored_records(study: Study, out: Path, pack: Path | None = None) -> Stored:
    """Those of the folder, or of the file that is named in its place. Raises `UserError` without any, or for one of another study."""
    if pack is None:
        stored = read_folder(out)
        if not stored.records:
            raise UserError(
                f"{out}: no record of a job yet: python -m iterpref.study run comes first, or --records FILE names packed ones"
            )
    else:
        if any((out / "records").glob("*.json")):
            raise UserError(f"{out} has records of its own beside those of --records {pack}: choose another --out")
        stored = read_pack(pack)
    check_records(study, stored)
    return stored


def write_pack(stored: Stored, file: Path) -> None:
    """The same bytes for the same records. Raises `UserError` for a name of another kind of file."""
    if not file.name.endswith(SUFFIX):
        raise UserError(f"{file}: packed records are xz of JSON Lines; name the file NAME{SUFFIX}")
    head = {_FORMAT: _VERSION, "records": len(stored.records), "failures": len(stored.failures)}
    lines = [head, *map(portable, stored.records), *stored.failures]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def read_pack(file: Path) -> Stored:
    """Raises `UserError` for a file that is no pack, or one that was damaged or cut off."""
    head, *lines = _lines(file)
    try:
        found = json.loads(head)
        version, n_records, n_failures = found[_FORMAT], found["records"], found["failures"]
    except (ValueError, TypeError, KeyError):
        raise _no_pack(file, "its first line is not the head of one") from None
    if version != _VERSION:
        raise UserError(f"{file} is a pack of form {version}, and this version reads {_VERSION}: install the newer one")
    if len(lines) != n_records + n_failures:
        raise _damaged(
            file, f"{n_records} records and {n_failures} failures are announced, and {len(lines)} lines follow"
        )
    records, failures = [], []
    for number, line in enumerate(lines, 2):
        try:
            if number < n_records + 2:
                records.append(record_of(line))
            else:
                failures.append(failure_of(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise _damaged(file, f"line {number}: {error}") from None
    return Stored(file, records, failures)


def _lines(file: Path) -> list[str]:
    """At least one."""
    try:
        packed = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file} is not there{nearest_file(file)}") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): expected packed records, NAME{SUFFIX}") from None
    if not _MAGIC.startswith(packed[: len(_MAGIC)]):
        raise _no_pack(file, "it is not compressed by xz")
    try:
        text = lzma.decompress(packed, lzma.FORMAT_XZ).decode()
    except (lzma.LZMAError, UnicodeDecodeError) as error:
        raise _damaged(file, str(error)) from None
    return text.splitlines() or [""]


def _no_pack(file: Path, why: str) -> UserError:
    return UserError(f"{file} holds no packed records ({why}): expected what python -m iterpref.study pack wrote")


def _damaged(file: Path, why: str) -> UserError:
    return UserError(f"{file} was damaged or cut off ({why}): take it from a copy, or pack the records again")
