"""The records of a study in one file: as good as their folder, of one study alone, and nobody's paths in it."""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_study_tables import AFTER, RECORDS, STUDY, few_resamples

from iterpref.errors import UserError
from iterpref.study.__main__ import main
from iterpref.study.pack import read_pack, stored_records, write_pack
from iterpref.study.plan import Study
from iterpref.study.read import read_study
from iterpref.study.records import Stored, check_records, portable, read_folder, record_file, records
from iterpref.study.tables import write_tables

ROOT = Path(__file__).parents[2]
PACKED = ROOT / "docs/study/main.jsonl.xz"
FAILURES = [
    {
        "name": "main-dpo-seed2",
        "when": "2026-01-02",
        "why": "OSError: '/home/me/data/x.bin' is gone\nThe end of the log",
    },
    {"name": "main-dpo-seed2", "when": "2026-01-01", "why": "no memory"},
]

__all__ = ["few_resamples"]  # a fixture


def folder(path: Path, records: list[dict[str, Any]], failures: list[dict[str, str]] | None = None) -> Path:
    for record in records:
        file = record_file(path, record["name"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(record))
    if failures:
        (path / "failures.jsonl").write_text("".join(json.dumps(one) + "\n" for one in failures))
    return path


def test_tables_of_the_pack_are_those_of_the_folder_to_the_byte(tmp_path: Path) -> None:
    out, file = folder(tmp_path / "out", [*RECORDS, *AFTER], FAILURES), tmp_path / "packed/all.jsonl.xz"
    write_pack(stored_records(STUDY, out), file)
    text = write_tables(STUDY, out)
    assert write_tables(STUDY, tmp_path / "tables", file) == text
    for name in ("study.json", "study.md"):
        assert (tmp_path / "tables" / name).read_bytes() == (out / name).read_bytes()
    assert "| main-dpo-seed2 | 2026-01-02 | OSError: 'x.bin' is gone |" in text
    assert text.index("2026-01-02") < text.index("2026-01-01")  # as they came


def test_the_same_records_are_the_same_bytes_in_the_order_of_their_names(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl.xz", tmp_path / "b.jsonl.xz"
    write_pack(read_folder(folder(tmp_path / "one", RECORDS)), first)
    write_pack(read_folder(folder(tmp_path / "two", RECORDS[::-1])), second)
    assert first.read_bytes() == second.read_bytes()
    found = read_pack(first)
    assert found.records == sorted(RECORDS, key=lambda record: record["name"])
    write_pack(found, second)
    assert first.read_bytes() == second.read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".partial")]


def test_a_record_is_read_once_until_it_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, read = folder(tmp_path, RECORDS), list[str]()
    monkeypatch.setattr("iterpref.study.records.record_of", lambda text: read.append(text) or json.loads(text))
    first = records(out)
    assert records(out) == first
    assert len(read) == len(RECORDS)
    folder(out, [RECORDS[0] | {"gpus": ["another one"]}])
    assert [one["gpus"] for one in records(out) if one["name"] == RECORDS[0]["name"]] == [["another one"]]
    assert len(read) == len(RECORDS) + 1


def test_what_is_true_of_one_machine_alone_is_left_out() -> None:
    record = {
        "settings": ["pairs={pairs}", "model.path=/home/me/models/tiny"],
        "benchmarks": {"t": {"benchmark": {"source": "/data/sets/mbpp.jsonl"}, "tasks": {"bank/text/x": 1.0}}},
        "run": {
            "command": "train pairs='/home/me/p'", "cwd": "/home/me", "overrides": [], "git": {"commit": "c"},
            "data": {"folder": "/home/me/cache", "pairs": "k"}, "hardware": {"platform": "Linux-6", "cores": 4}, "seed": 1,
        },
    }  # fmt: skip
    assert portable(record) == {
        "settings": ["pairs={pairs}", "model.path=tiny"],
        "benchmarks": {"t": {"benchmark": {"source": "mbpp.jsonl"}, "tasks": {"bank/text/x": 1.0}}},
        "run": {"git": {"commit": "c"}, "data": {"pairs": "k"}, "hardware": {"cores": 4}, "seed": 1},
    }
    assert portable(portable(record)) == portable(record)


@pytest.mark.parametrize(
    "text",
    ["https://host/a/b", "experiment=repro/base", "runs/a/b", "~/a/b", "1/2", "a / b / c", "hub/name", "1 [/] 2"],
)
def test_what_is_no_absolute_path_stays(text: str) -> None:
    assert portable(text) == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda packed: packed[: len(packed) // 2], r"was damaged or cut off"),
        (lambda packed: packed[:60] + bytes([packed[60] ^ 1]) + packed[61:], r"was damaged or cut off"),
        (
            lambda packed: packed + packed,
            r"was damaged or cut off \(5 records and 0 failures are announced, and 11 lines",
        ),
        (lambda packed: b"", r"was damaged or cut off"),
        (lambda packed: packed[:3], r"was damaged or cut off"),
        (lambda packed: b"PK" + packed, r"holds no packed records \(it is not compressed by xz\)"),
        (lambda packed: lzma.compress(b""), r"holds no packed records \(its first line"),
        (lambda packed: lzma.compress(b"[1]\n"), r"holds no packed records \(its first line"),
        (lambda packed: lzma.compress(b"\xff\n"), r"was damaged or cut off"),
        (lambda packed: lzma.compress(lzma.decompress(packed).replace(b'"arm"', b'"amr"')), r"line 2: it lacks arm"),
        (lambda packed: lzma.compress(lzma.decompress(packed)[:-40]), r"line 6: "),
        (
            lambda packed: lzma.compress(lzma.decompress(packed).replace(b'study":1', b'study":2')),
            r"is a pack of form 2, and this version reads 1",
        ),
    ],
)
def test_a_file_that_is_no_pack_or_a_damaged_one_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    file = tmp_path / "all.jsonl.xz"
    write_pack(Stored(tmp_path, RECORDS, []), file)
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(UserError, match=message):
        read_pack(file)


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (replace(STUDY, arms={"sft": ()}, variants={}, against={}), r"main-dpo-seed1 is of another study: .* arm dpo"),
        (replace(STUDY, seeds=(1,)), r"main-sft-seed2 is of another study"),
        (replace(STUDY, tune=replace(STUDY.tune, lrs=(2e-5,))), r"tune-sft-lr1e-05 is of another study"),
        (
            replace(STUDY, arms={**STUDY.arms, "dpo": ("loss.beta=0.2",)}),
            r"main-dpo-seed1 was made with other settings than the study has \(loss.beta=0.2\)",
        ),
    ],
)
def test_a_record_of_another_study_is_refused(study: Study, message: str) -> None:
    check_records(STUDY, Stored(Path("out"), RECORDS, []))
    with pytest.raises(UserError, match=rf"out: {message}"):
        check_records(study, Stored(Path("out"), RECORDS, []))


def test_what_all_trainings_were_given_alike_is_no_other_setting_and_what_one_was_given_is() -> None:
    def having(line: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**record, "settings": [*record["settings"], line]} for record in records]

    beta = replace(STUDY, arms={**STUDY.arms, "dpo": ("loss.beta=0.2",)})
    check_records(STUDY, Stored(Path("out"), having("loss.beta=0.3", RECORDS), []))
    check_records(beta, Stored(Path("out"), having("loss.beta=0.3", RECORDS), []))  # in the place of the arm's own
    with pytest.raises(UserError, match=r"main-sft-seed1 was made with other settings .*\(loss.beta=0.3\)"):
        check_records(STUDY, Stored(Path("out"), [*having("loss.beta=0.3", RECORDS[:1]), *RECORDS[1:]], []))
    with pytest.raises(UserError, match=r"main-sft-seed1 has two records"):
        check_records(STUDY, Stored(Path("out"), [RECORDS[0], *RECORDS], []))


def test_mistakes_with_packed_records_end_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = str(ROOT / "configs/study/main.yaml")
    own, broken = folder(tmp_path / "own", RECORDS), folder(tmp_path / "broken", RECORDS)
    (broken / "failures.jsonl").write_text('{"name": "x", "when": "y", "why": "z"}\n{"name"')
    for arguments, message in (
        (["table", shipped, "--out", str(tmp_path)], "no record of a job yet"),
        (
            ["table", shipped, "--out", str(own), "--records", str(PACKED)],
            "has records of its own beside those of --records",
        ),
        (
            ["table", shipped, "--out", str(tmp_path), "--records", str(PACKED.with_name("man.jsonl.xz"))],
            "'main.jsonl.xz'",
        ),
        (["table", shipped, "--out", str(tmp_path), "--records", str(tmp_path)], "cannot be read"),
        (["table", shipped, "--out", str(own)], "main-dpo-seed1 was made with other settings"),
        (["table", shipped, "--out", str(broken)], "failures.jsonl:2: no failure of a job"),
        (["table", shipped, "--out", str(own), "--", "seed=1"], "table trains nothing"),
        (["pack", shipped, str(tmp_path / "all.jsonl.xz"), "--out", str(tmp_path)], "no record of a job yet"),
        (["pack", shipped, str(tmp_path / "all.jsonl.xz"), "--out", str(own)], "main-dpo-seed1 was made with other"),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        assert message in capsys.readouterr().err, arguments
    assert {path.name for path in tmp_path.iterdir()} == {"own", "broken"}
    with pytest.raises(UserError, match=r"all\.xz: .*name the file NAME\.jsonl\.xz"):
        write_pack(Stored(own, RECORDS, []), tmp_path / "all.xz")


def test_the_committed_records_are_of_the_shipped_study_and_give_its_main_table(tmp_path: Path) -> None:
    whole = read_study(ROOT / "configs/study/main.yaml", None)
    stored = stored_records(whole, tmp_path, PACKED)
    runs = Counter((r["arm"], r["phase"]) for r in stored.records)
    assert {arm: runs[arm, "main"] for arm in whole.arms} == dict.fromkeys(whole.arms, len(whole.seeds))
    assert {arm: runs[arm, "tune"] for arm in whole.arms} == dict.fromkeys(whole.arms, len(whole.tune.lrs))
    study = replace(whole, compared=whole.compared[:1])
    text = write_tables(study, tmp_path, PACKED)
    for arm in whole.arms:
        assert re.search(
            rf"^\| {arm} \| {len(whole.seeds)} \| \S+ \| \d+\.\d \[.*\] ± \d\.\d \|$", text, re.MULTILINE
        ), arm
    for arm, other in (("target_dpo", "sft"), ("target_dpo", "dpo"), ("target_rpo", "rpo"), ("rpo", "dpo")):
        assert re.search(rf"^\| {arm} \| {other} \| [+-]\d+\.\d \[", text, re.MULTILINE), (arm, other)
    assert [portable(record) for record in stored.records] == stored.records


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("settings", None), ("settings", "x"), ("lr", "fast"), ("seed", "one"), ("seconds", 3), ("seconds", {"train": "long"}),
        ("gpus", 3), ("ended", "yesterday"), ("began", 3), ("benchmarks", []), ("benchmarks", {"t": {}}), ("benchmarks", {"t": 3}),
        ("benchmarks", {"t": {"tasks": {"a": 1.0}, "rates": {}}}), ("held_out", {"own": {}}), ("name", 1),
    ],
)  # fmt: skip
def test_a_record_that_was_changed_by_hand_is_told_by_file_and_key(tmp_path: Path, key: str, value: object) -> None:
    folder(tmp_path, RECORDS[:1])
    (file,) = (tmp_path / "records").iterdir()
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(
        UserError, match=rf"{file}: no record of a job \(its {key} cannot be .*delete it, and the job runs again"
    ):
        read_folder(tmp_path)


@pytest.mark.parametrize("line", [b"{", b'{"name": 3, "when": 1, "why": 2}', b'"x"', b"\xff", b"3"])
def test_a_failure_that_is_none_is_told_by_its_line(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "failures.jsonl").write_bytes(b'{"name": "a", "when": "b", "why": "c"}\n' + line + b"\n")
    with pytest.raises(UserError, match=r"failures.jsonl:2: no failure of a job .*; delete the line"):
        read_folder(tmp_path)
