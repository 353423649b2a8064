"""Finished stages on disk: repeatable bytes, whole or absent, every record type there and back."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from iterpref import artifacts
from iterpref.artifacts import Artifact, arrow_schema, building, find, fingerprint, publish, records
from iterpref.codeflow.tally import DroppedPair
from iterpref.data.examples import EXAMPLE_SCHEMA, open_examples, to_table
from iterpref.errors import UserError
from iterpref.record import Record
from iterpref.schema import (
    Attempt,
    Draft,
    Example,
    FilterResult,
    LlmCall,
    Message,
    PreferencePair,
    Problem,
    RefusedAnswer,
    SourceFile,
    Span,
    Statistic,
    TestScores,
    TestSuite,
    Timing,
    Trajectory,
    Verdict,
)

FILE = SourceFile("a.py", "x = 'é\u2028😀\r\n'\x00")
SCORES = TestScores(5, 4, 3)
SUITE = TestSuite((FILE,), "unittest", 3, 0.5, SCORES)
CALL = LlmCall("author", "m", "{}", "0f", 10, 20, 0.25)
REFUSED = RefusedAnswer(1, "no_code", "d", CALL)
ATTEMPT = Attempt(
    0, None, (FILE, FILE), SUITE.sha256, Verdict.EARLY_EXIT, "d", 1, 2, "out", "err", "note", CALL, (REFUSED,)
)
TRAJECTORY = Trajectory(
    "t#0", "t", "p", "bank", "MIT", "c", "train", SUITE, (ATTEMPT, replace(ATTEMPT, i=1, parent=0)), "solved", 2**47
)
PAIR = PreferencePair(
    "t#0", "t", "train", "c", "p", "good", "bad", 1, 0, SUITE.sha256, (0, 2), (), (Span(0, 3),), (),
    "lcs", "literal", False, "n", (FilterResult("comment_only", True, ""), FilterResult("ast_equal", False, "why")),
    (Message("system", "s"), Message("user", "p")), "file.json",
)  # fmt: skip
EXAMPLE = Example("t#0", "test", (1, 2), (3,), (4, 5), (0.5,), (1.0, 0.0), (0,), (1, 0), (-0.25,), (-1.5, 0.0))
BARE = [
    replace(EXAMPLE, prompt_ids=(), chosen_ref_logps=None, rejected_ref_logps=()),
    replace(PAIR, d_minus=(), d_minus_spans=(), filters=(), turns=()),
    replace(TRAJECTORY, iterations=(), tests=TestSuite((), "unittest", 0)),
    Problem("t", "p", SUITE),
    Draft(()),
    replace(REFUSED, llm=None),
    replace(ATTEMPT, llm=None, refused=()),
    Timing("t#0", 0, 1.5, None, "plain"),
]
FULL = [FILE, SUITE, SCORES, Statistic("verdict", 0, "PASS", 2), Problem("t", "p", SUITE, (FILE,)), Draft((FILE,), "n", SUITE, CALL, (REFUSED,), ("numpy",)), CALL, REFUSED, ATTEMPT, TRAJECTORY, PAIR, EXAMPLE,
        Timing("t#0", 1, 0.25, 8.0, "plain"), Span(1, 2), FilterResult("n", True), Message("user", "p")]  # fmt: skip


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("row", [*FULL, *BARE], ids=lambda row: type(row).__name__)
def test_every_record_comes_back_as_it_went(tmp_path: Path, row: Record) -> None:
    artifact = publish(tmp_path, "k", {"rows": (type(row), [row, row])}, {})
    assert artifact.read("rows", type(row)) == [row, row]
    assert type(row).from_dict(json.loads(json.dumps(row.to_dict()))) == row


@pytest.mark.parametrize("kind", [type(row) for row in FULL])
def test_columns_of_any_part_of_a_table_give_what_its_rows_give(kind: type[Record]) -> None:
    rows = [row for row in (*BARE, *FULL, *BARE) if type(row) is kind]
    table = pa.Table.from_pylist([row.to_dict() for row in rows], schema=arrow_schema(kind))
    for part in (
        table,
        table.slice(1),
        table.slice(1, 1),
        table.slice(0, 0),
        pa.concat_tables([table, table.slice(1)]),
    ):
        expected = [kind.from_dict(row) for row in part.to_pylist()]
        assert records(kind, part) == expected
        assert [row for batch in part.to_batches(max_chunksize=2) for row in records(kind, batch)] == expected


def test_columns_that_are_missing_or_too_many_are_treated_as_in_a_row() -> None:
    table = pa.table({"surplus": [1, 2], "place": ["a", "b"], "reason": ["x", "y"]})
    assert records(DroppedPair, table) == [DroppedPair("a", "x"), DroppedPair("b", "y")]
    with pytest.raises(KeyError, match="DroppedPair needs the field"):
        records(DroppedPair, table.drop_columns("reason"))


def test_the_cases_above_are_all_the_records() -> None:
    assert {type(row) for row in FULL} == {r for r in Record.__subclasses__() if r.__module__ == "iterpref.schema"}


def test_a_table_is_read_a_few_rows_at_a_time_and_its_manifest_may_come_last(tmp_path: Path) -> None:
    taken: list[int] = []
    rows = (taken.append(i) or Span(i, i + 1) for i in range(3000))
    artifact = publish(tmp_path, "k", {"rows": (Span, rows)}, lambda: {"n": len(taken)})
    assert artifact.manifest["n"] == 3000
    read = artifact.iterate("rows", Span)
    assert [next(read) for _ in range(2)] == [Span(0, 1), Span(1, 2)]
    assert list(read)[-1] == Span(2999, 3000)


@pytest.mark.parametrize("record", [type(row) for row in FULL])
def test_a_table_without_rows_keeps_its_columns(tmp_path: Path, record: type[Record]) -> None:
    artifact = publish(tmp_path, "k", {"rows": (record, [])}, {})
    assert artifact.read("rows", record) == []
    assert pq.read_schema(artifact.table("rows")).names == [f.name for f in fields(record)]  # type: ignore[arg-type]


def test_a_missing_field_is_named() -> None:
    with pytest.raises(KeyError, match="Span needs the field"):
        Span.from_dict({"start": 1})


def test_verdicts_come_back_as_verdicts(tmp_path: Path) -> None:
    artifact = publish(tmp_path, "k", {"rows": (Trajectory, [TRAJECTORY])}, {})
    assert artifact.read("rows", Trajectory)[0].iterations[1].verdict is Verdict.EARLY_EXIT


def test_log_probs_are_stored_as_fp32() -> None:
    schema = arrow_schema(Example)
    assert {str(schema.field(name).type) for name in ("chosen_mask", "chosen_ref_logps")} == {
        str(pa.list_(pa.float32()))
    }
    assert "double" not in str(schema)


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"pairs": (PreferencePair, [PAIR] * 5000), "t": (Trajectory, [TRAJECTORY])}
    first = publish(tmp_path / "a", "k", tables, {"counts": {"b": 1, "a": 2}})
    second = publish(tmp_path / "b", "k", tables, {"counts": {"a": 2, "b": 1}})
    assert digest(first.folder) == digest(second.folder)


def test_a_generator_of_records_or_tables_is_written_group_by_group(tmp_path: Path) -> None:
    rows = (Span(i, i + 1) for i in range(2 * artifacts.ROWS_PER_GROUP + 1))
    schema = arrow_schema(Span)
    tables = (pa.table({"start": [i], "end": [i]}, schema=schema) for i in range(3))
    made = publish(tmp_path, "k", {"rows": (Span, rows), "tables": (schema, tables)}, {})
    assert [s.start for s in made.read("rows", Span)] == list(range(2 * artifacts.ROWS_PER_GROUP + 1))
    assert pq.ParquetFile(made.table("rows")).num_row_groups == 3
    assert made.read("tables", Span) == [Span(i, i) for i in range(3)]
    assert pq.ParquetFile(made.table("tables")).num_row_groups == 3


def test_an_artifact_is_found_under_its_key_only(tmp_path: Path) -> None:
    made = publish(tmp_path, "k", {"rows": (Span, [Span(1, 2)])}, {"stage": "s"})
    found = find(tmp_path, "k")
    assert found is not None
    assert (found, found.fingerprint) == (made, "k")
    assert found.manifest == {"stage": "s", "fingerprint": "k", "schema_version": 2}
    assert find(tmp_path, "other") is None
    assert [p.name for p in tmp_path.iterdir()] == ["k"]


@pytest.mark.parametrize("killed_in", ["ParquetWriter", "_fsync"])
def test_a_killed_writer_leaves_nothing_that_looks_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    calls: list[int] = []

    def kill(*_: object, **__: object) -> None:
        calls.append(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pq if killed_in == "ParquetWriter" else artifacts, killed_in, kill)
        with pytest.raises(KeyboardInterrupt):
            publish(tmp_path, "k", {"rows": (Span, [Span(1, 2)])}, {})
    assert calls
    assert find(tmp_path, "k") is None
    assert list(tmp_path.iterdir()) == []  # Ctrl-C; a kill leaves what it was about
    (tmp_path / ".k.partial").mkdir()
    (tmp_path / ".k.partial" / "rubbish").write_text("of the killed run")
    whole = publish(tmp_path, "k", {"rows": (Span, [Span(3, 4)])}, {})
    assert sorted(p.name for p in whole.folder.iterdir()) == ["manifest.json", "rows.parquet"]
    assert not (tmp_path / ".k.partial").exists()


@pytest.mark.parametrize("leftover", ["rows.parquet", "manifest.json/x"])
def test_a_folder_without_its_manifest_is_replaced(tmp_path: Path, leftover: str) -> None:
    broken = tmp_path / "k" / leftover
    broken.parent.mkdir(parents=True)
    broken.write_text("half")
    assert find(tmp_path, "k") is None
    assert publish(tmp_path, "k", {"rows": (Span, [Span(3, 4)])}, {}).read("rows", Span) == [Span(3, 4)]


def test_a_manifest_that_is_no_json_names_the_folder_to_delete(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "manifest.json").write_text('{"stage": ')
    with pytest.raises(UserError, match=r"manifest\.json is not valid JSON .*: delete .*k and run again"):
        find(tmp_path, "k")


def test_a_table_that_was_cut_or_is_gone_names_the_folder_to_delete(tmp_path: Path) -> None:
    table = publish(tmp_path, "k", {"rows": (Span, [Span(1, 2)])}, {}).table("rows")
    for content in (table.read_bytes()[:-7], b""):
        table.write_bytes(content)
        with pytest.raises(UserError, match=r"rows\.parquet was damaged: delete .*k and run again"):
            find(tmp_path, "k")
    table.unlink()
    found = find(tmp_path, "k")
    assert found is not None
    with pytest.raises(UserError, match=r"rows\.parquet is gone: delete .*k and run again"):
        found.read("rows", Span)


def test_only_one_builds_at_a_time(tmp_path: Path) -> None:
    from filelock import FileLock, Timeout

    with building(tmp_path / "stage", "k"):
        with pytest.raises(Timeout):
            FileLock(tmp_path / "stage" / ".k.lock").acquire(timeout=0.05)
        with building(tmp_path / "stage", "other"):
            pass
    FileLock(tmp_path / "stage" / ".k.lock").acquire(timeout=0.05).lock.release()


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    part = "{'b': [1, 2.5, None, True], 'a': 'é', 'v': __import__('iterpref.schema').schema.Verdict.PASS}"
    program = f"from iterpref.artifacts import fingerprint; print(fingerprint('s', {part}))"
    results = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in (1, 2)
    }
    assert results == {fingerprint("s", {"v": Verdict.PASS, "a": "é", "b": (1, 2.5, None, True)})}


def test_a_fingerprint_is_pinned_and_moves_with_any_part() -> None:
    # A change here throws away everybody's finished stages: it must be meant.
    assert fingerprint("s", {"a": 1}) == hashlib.sha256(b'[2,"s",{"a":1}]').hexdigest()[:16]
    assert len({fingerprint("s", {"a": v}) for v in (1, 2, "1", 1.5, None, True, [1])}) == 7


def test_a_part_whose_text_may_differ_between_processes_is_refused() -> None:
    with pytest.raises(TypeError):
        fingerprint("s", {"a", "b"})


def reading_or_error(artifact: Artifact, way: str) -> Any:
    try:
        return reading(artifact, way)
    except UserError as error:
        return str(error)


def reading(artifact: Artifact, way: str) -> Any:
    if way == "open_examples":
        return list(open_examples(artifact.table("rows"), artifact.folder / f"cache-{random.random()}"))
    ways = {
        "read": lambda: artifact.read("rows", Example),
        "load": lambda: artifact.load("rows", ["pair_id", "chosen_ids"]).to_pylist(),
        "row_group": lambda: artifact.row_group("rows", artifact.row_groups("rows").index(40)).to_pylist(),
    }
    return ways[way]()


@pytest.mark.parametrize("way", ["read", "load", "row_group", "open_examples"])
def test_damage_inside_a_table_whose_ends_are_whole_is_told_with_its_remedy_or_changes_nothing(
    tmp_path: Path, way: str
) -> None:
    examples = [replace(EXAMPLE, pair_id=f"t#{i}", prompt_ids=(i, 7, i * i)) for i in range(40)]
    artifact = publish(tmp_path, "k", {"rows": (EXAMPLE_SCHEMA, [to_table(examples)])}, {})
    table, expected = artifact.table("rows"), reading(artifact, way)
    whole, told = table.read_bytes(), 0
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # of the pages: what follows them has no checksum
    for place in range(4, end, 40 if way == "open_examples" else 7):
        table.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        found = reading_or_error(artifact, way)
        if found != expected:
            told += 1
            assert f"{table} was damaged (" in found
            assert f"delete {artifact.folder} and run again" in found
    assert told > 10
