"""Somebody else's pairs that cannot be read, or not all of them: what is told, and what is kept."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.test_external import ROWS, Row, lines, pairs_of, row, stage, told, write, write_as

from iterpref.codeflow.tally import DroppedPair
from iterpref.config.pairs import PairColumnsConfig, PairSplitsConfig


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        ("rows.jsonl", "subset", "default"), ("rows.jsonl", "revision", "abc"), ("rows.parquet", "splits", PairSplitsConfig(train="good")),
        ("folder", "revision", "abc"), ("save_to_disk", "subset", "default"),
    ],
)  # fmt: skip
def test_an_option_of_another_kind_of_source_is_refused(tmp_path: Path, kind: str, option: str, value: Any) -> None:
    path = write_as(kind, tmp_path / "in", ROWS)
    what = "a folder" if path.is_dir() else "a file"
    assert f"pairs.{option}" in (message := told(tmp_path, path, **{option: value}))
    assert f"has no effect on {what}" in message


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"prompt": "x", "chosen": ' + "[" * 100_000 + "]" * 100_000 + ', "rejected": "a"}', "nested too deep"),
        (json.dumps(row(41, pair_id="a\ud800")), r"'pair_id' has '\ud800', half of a character"),
        (json.dumps(row(41, pair_id="a", note="\udfff")), r"'note' has '\udfff', half of a character"),
        (json.dumps(row(41, pair_id="a", chosen_iter=10**30)), "'chosen_iter' is 1000"),
        ('{"prompt": "x", "chosen": NaN, "rejected": "a"}', "'chosen' is nan"),
        ("\ufeff" + json.dumps(row(41)), "BOM"),
        ('{"prompt": "x", "chosen": "a", "chosen": "c", "rejected": "b"}', "'chosen' stands twice in one object"),
    ],
    ids=["deep", "id", "note", "number", "nan", "bom", "twice"],
)
def test_a_row_that_no_table_can_hold_is_named_or_counted(tmp_path: Path, content: str, fault: str) -> None:
    path = write(tmp_path / "rows.jsonl", lines(ROWS) + content + "\n")
    message = told(tmp_path, path)
    assert message.startswith(f"{path}:41: ")
    assert fault in message
    assert "pairs.bad_rows=drop" in message
    assert stage(tmp_path, path, bad_rows="drop").manifest["counts"]["dropped"] == {"bad_row": 1}


def test_a_name_of_a_column_that_no_table_can_hold_is_told_in_the_drops(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", lines(ROWS) + '{"\\ud800": 1, "prompt": "p"}\n{"\\ud800": 1, "\\ud800": 2}\n')
    dropped = list(stage(tmp_path, path, bad_rows="drop").read("dropped", DroppedPair))
    assert [d.reason for d in dropped] == ["bad_row", "bad_row"]
    assert all(r"\ud800" in d.detail for d in dropped)


def test_a_doubled_name_in_a_list_is_one_bad_row_among_good_ones(tmp_path: Path) -> None:
    twice = '{"prompt": [{"role": "user", "content": "a", "content": "b"}], "chosen": "x = 1", "rejected": "x = 2"}'
    text = f"[{json.dumps(row(1))}, {twice}, {json.dumps(row(2))}]"
    path = write(tmp_path / "rows.json", text)
    assert "rows.json:2: 'content' stands twice in one object" in told(tmp_path, path)
    counts = stage(tmp_path, path, bad_rows="drop").manifest["counts"]
    assert (counts["pairs"], counts["dropped"]) == (2, {"bad_row": 1})


@pytest.mark.parametrize("form", ["lines", "list"])
def test_a_number_that_no_table_holds_is_nobodys_business(tmp_path: Path, form: str) -> None:
    text = json.dumps(row(1))[:-1] + f', "id": {"9" * 5000}}}'
    path = write(tmp_path / "rows.json", f"[{text}]" if form == "list" else text)
    assert len(pairs_of(stage(tmp_path, path))) == 1


def test_parquet_with_a_text_that_is_none_names_its_row_and_keeps_the_others(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(ROWS[:3])
    texts = [t.encode() for t in table["chosen"].to_pylist()]
    texts[1] = b"\xff\xfe"
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    broken = pa.Array.from_buffers(pa.string(), 3, [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))])
    path = tmp_path / "rows.parquet"
    pq.write_table(table.set_column(1, "chosen", broken), path)
    assert "rows.parquet:2: a value cannot be read ('utf-8' codec" in told(tmp_path, path)
    artifact = stage(tmp_path, path, bad_rows="drop")
    assert [p.pair_id for p in pairs_of(artifact)] == ["rows.parquet:1", "rows.parquet:3"]


def test_parquet_whose_pages_were_damaged_says_how_far_it_was_read(tmp_path: Path) -> None:
    path = write_as("rows.parquet", tmp_path / "in", ROWS)
    data = bytearray(path.read_bytes())
    data[40:80] = bytes(40)
    path.write_bytes(bytes(data))
    assert "rows.parquet: not readable as Parquet behind row 0" in told(tmp_path, path)


def test_parquet_whose_columns_have_damaged_names_is_told(tmp_path: Path) -> None:
    path = write_as("rows.parquet", tmp_path / "in", [{**r, "n\u00e9e": 1} for r in ROWS])
    write(path, path.read_bytes().replace("n\u00e9e".encode(), b"n\xff\xffe"))
    assert "not readable as Parquet" in told(tmp_path, path)


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [pa.array([text]) for text in ("p", "x = 1", "x = 2", "x = 3")]
    pq.write_table(pa.Table.from_arrays(texts, ["prompt", "chosen", "rejected", "chosen"]), tmp_path / "rows.parquet")
    assert "several columns are called 'chosen'" in told(tmp_path, tmp_path / "rows.parquet")


@pytest.mark.parametrize("code", ["utf-16", "utf-32"])
def test_other_encodings_are_named_with_the_way_out(tmp_path: Path, code: str) -> None:
    message = told(tmp_path, write(tmp_path / "rows.jsonl", lines(ROWS).encode(code)))
    assert f"iconv -f {code.upper()} -t UTF-8" in message


def test_a_row_of_ten_megabytes_is_counted_and_its_neighbours_kept(tmp_path: Path) -> None:
    huge = {"prompt": "x", "chosen": "a\n" * 5_000_000, "rejected": "b\n" * 5_000_000}
    for text in (lines([*ROWS, huge, row(41)]), json.dumps([*ROWS, huge, row(41)])):
        counts = stage(tmp_path, write(tmp_path / "rows.json", text)).manifest["counts"]
        assert (counts["pairs"], counts["dropped"]) == (41, {"filter_max_characters": 1})


def test_a_hub_that_does_not_answer_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load_dataset(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    message = told(tmp_path, "some/feedback")
    for words in ("some/feedback", "no route to the hub", "local folder", "network"):
        assert words in message


BROKEN = [
    ("cut.json", json.dumps(ROWS)[:-200], ["cut.json:1", "row 40", "the file ends in it"]),
    ("comma.json", "[\n" + json.dumps(row(1)) + "\n" + json.dumps(row(2)) + "]", ["comma.json:3", "behind row 1"]),
    ("bad.json", "[\n" + json.dumps(row(1)) + ",\n{'prompt': 1}]", ["bad.json:3", "row 2 is no valid JSON"]),
    ("open.json", "[" + json.dumps(row(1)) + "\n", ["open.json:2", "the file ends"]),
    ("tail.json", json.dumps(ROWS) + "\n]", ["tail.json:2", "the list ended"]),
    ("none.json", "[]", ["no preference pair is left of 0 rows", "there are none"]),
    ("last.json", json.dumps(ROWS[:2])[:-1] + ",\n]", ["last.json:2", "behind the ',' of row 2"]),
    ("torn.gz", b"\x1f\x8b\x08\x00garbagegarbage", ["gzip file is broken"]),
    ("lfs.json", "version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", ["git lfs pull"]),
    ("page.json", "<!DOCTYPE html>\n<html>", ["a web page came"]),
    ("file.arrow", b"ARROW1\0\0", ["turn it into Parquet"]),
    ("kto.jsonl", lines([{"prompt": "p", "completion": "a", "label": True}]), ["unpaired preferences are no pairs"]),
    ("by_id.json", json.dumps({str(i): r for i, r in enumerate(ROWS)}), ["it has 0, 1, 2,", "19 and 20 more"]),
    ("bytes.json", json.dumps(ROWS).replace("Write f7", "Writ\u00e9 f7").encode("latin-1") , ["bytes.json", "not UTF-8"]),
    ("line.jsonl", lines(ROWS[:16]) + '{"prompt": \n' + lines(ROWS), ["line.jsonl:17", "not a JSON object", "bad_rows=drop"]),
    ("bytes.jsonl", lines(ROWS[:3]).encode() + b'{"prompt": "\xff"}\n', ["bytes.jsonl:4", "not UTF-8"]),
    ("words.json", '["a", "b"]', ["words.json:1", "a JSON object was expected, str came"]),
    ("data.json", json.dumps({"data": ROWS}), ["no column 'chosen'", "inside 'data'", "top level"]),
    ("pretty.json", json.dumps({"data": ROWS}, indent=1), ["pretty.json:1", "list [...]"]),
    ("empty.json", "", ["the file is empty"]),
    ("white.jsonl", "\n \n", ["nothing but white space"]),
    ("text.json", "Hello", ["'Hello'", "a JSON list, JSON lines or Parquet"]),
    ("rows.csv", "prompt,chosen,rejected\na,b,c\n", ["CSV", "to_json"]),
    ("utf16.json", json.dumps(ROWS).encode("utf-16"), ["UTF-16", "iconv"]),
    ("rows.zip", b"PK\x03\x04abc", ["unpack it first"]),
    ("cut.gz", gzip.compress(lines(ROWS).encode())[:-30], ["gzip file is broken"]),
    ("cut.parquet", b"PAR1abcdef", ["not readable as Parquet"]),
    ("deep.json", "[" + "[" * 100_000, ["nested too deep"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words"), BROKEN, ids=[b[0] for b in BROKEN])
def test_a_file_that_cannot_be_read_says_where_and_why(
    tmp_path: Path, name: str, content: str | bytes, words: list[str]
) -> None:
    message = told(tmp_path, write(tmp_path / name, content))
    for word in words:
        assert word in message


def test_bad_rows_stop_with_their_place_or_are_dropped_and_counted(tmp_path: Path) -> None:
    rows: list[Any] = [
        *ROWS[:3],
        {**row(3), "chosen": None},
        {"prompt": "p", "chosen": "a"},
        {**row(5), "rejected": ""},
        7,
        row(6),
    ]
    path = write(tmp_path / "rows.jsonl", lines(rows) + "{\n")
    message = told(tmp_path, path)
    assert "rows.jsonl:4: 'chosen' is null" in message
    assert "pairs.bad_rows=drop" in message
    artifact = stage(tmp_path, path, bad_rows="drop")
    assert artifact.manifest["counts"]["dropped"] == {"bad_row": 5}
    assert artifact.manifest["counts"]["pairs"] == 4
    assert [(d.place.rpartition(":")[2], d.reason) for d in artifact.read("dropped", DroppedPair)] == [
        (n, "bad_row") for n in "45679"
    ]


@pytest.mark.parametrize("kind", ["rows.jsonl", "rows.parquet", "save_to_disk"])
def test_a_missing_column_is_told_with_those_that_are_there(tmp_path: Path, kind: str) -> None:
    rows = [
        {"question": r["prompt"], "chosen": r["chosen"], "reject": r["rejected"], "id": i} for i, r in enumerate(ROWS)
    ]
    path = write_as(kind, tmp_path / "in", rows)
    message = told(tmp_path, path)
    for words in (
        "no column 'rejected'",
        "did you mean 'reject'",
        "question, chosen, reject, id",
        "pairs.columns.rejected=NAME",
    ):
        assert words in message
    message = told(tmp_path, path, columns=PairColumnsConfig(rejected="reject"))
    for words in ("no column 'prompt'", "pairs.columns.prompt=NAME", "null"):
        assert words in message
    pairs = pairs_of(stage(tmp_path, path, columns=PairColumnsConfig("question", rejected="reject")))
    assert [p.prompt for p in pairs] == [r["prompt"] for r in ROWS]


def test_a_text_without_the_prompt_that_other_rows_have_is_a_bad_row(tmp_path: Path) -> None:
    answers = [f"Here it is:\n```python\nx = {i}\n```" for i in (1, 2)]
    rows = [row(1), {"promt": "Set x.", "chosen": answers[0], "rejected": answers[1]}, row(2)]
    for order in (rows, rows[::-1]):
        path = write(tmp_path / "rows.jsonl", lines(order))
        assert "rows.jsonl:2: there is no 'prompt', which other rows have" in told(tmp_path, path)
    path = write(tmp_path / "rows.jsonl", lines([rows[1], *ROWS]))
    artifact = stage(tmp_path, path, bad_rows="drop")
    assert [d.place[-2:] for d in artifact.read("dropped", DroppedPair)] == [":1"]
    assert artifact.manifest["counts"]["pairs"] == 40


@pytest.mark.parametrize("first", [{"chosen": None}, {"chosen": []}, {}])
def test_a_bad_first_row_does_not_speak_for_the_columns_of_the_others(tmp_path: Path, first: Row) -> None:
    sides = {s: [{"role": r, "content": c} for r, c in (("user", "q"), ("assistant", f"x = {i}"))] for i, s in enumerate(("chosen", "rejected"))}  # fmt: skip
    good = {**sides, "id": "a"}
    path = write(tmp_path / "rows.jsonl", lines([{**good, **first} if first else {"id": "a"}, good]))
    artifact = stage(tmp_path, path, bad_rows="drop")
    assert (artifact.manifest["counts"]["pairs"], artifact.manifest["counts"]["dropped"]) == (1, {"bad_row": 1})


@pytest.mark.parametrize("by_number", [False, True])
def test_a_file_of_whole_columns_is_told_with_the_way_to_rows(tmp_path: Path, by_number: bool) -> None:
    import pandas

    columns = {name: [r[name] for r in ROWS] for name in ("prompt", "chosen", "rejected")}
    columns["prompt"][:2] = ["01", "2024-01-02"]
    numbered = {name: {str(i): text for i, text in enumerate(texts)} for name, texts in columns.items()}
    message = told(tmp_path, write(tmp_path / "rows.json", json.dumps(numbered if by_number else columns)))
    assert "holds whole columns, and an object for each row was expected" in message
    call = message.partition("pandas.read_json(")[2].partition(").to_json")[0]
    assert eval(f"read({call})", {"read": pandas.read_json}).to_dict("list") == columns


def test_rows_of_lists_are_bad_rows_and_no_whole_columns(tmp_path: Path) -> None:
    listed = {name: [text] for name, text in row(1).items()}
    path = write(tmp_path / "rows.jsonl", lines([listed, *ROWS]))
    assert "rows.jsonl:1: 'chosen' is a list of 1 text(s)" in told(tmp_path, path)
    assert stage(tmp_path, path, bad_rows="drop").manifest["counts"]["dropped"] == {"bad_row": 1}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"prompt": "p", "response_0": "a", "response_1": "b", "better_response_id": 0}, ["'better_response_id' seems to tell"]),
        ({"prompt": "p", "chosen": ["a", "b"], "rejected": ["c"]}, ["'chosen' is a list of 2 text(s)", "columns of their own"]),
        (
            {"conversations": [{"from": "human", "value": "w"}], "chosen": {"from": "gpt", "value": "a"},
             "rejected": {"from": "gpt", "value": "b"}}, ["it has conversations", "pairs.columns.prompt=NAME"],
        ),
    ],
)  # fmt: skip
def test_other_shapes_of_preferences_are_told_with_the_way_out(tmp_path: Path, found: Row, words: list[str]) -> None:
    message = told(tmp_path, write(tmp_path / "rows.jsonl", lines([found])))
    for word in words:
        assert word in message


def test_the_way_out_of_csv_keeps_every_text(tmp_path: Path) -> None:
    import pandas

    (tmp_path / "rows.tsv").write_text("prompt\tchosen\trejected\np\tNone\tNA\n")
    message = told(tmp_path, tmp_path / "rows.tsv")
    assert "keep_default_na=False, sep='\\t'" in message
    call = message.partition("pandas.read_csv(")[2].partition(").to_json")[0]
    frame = eval(f"read({call})", {"read": pandas.read_csv})
    assert frame.to_dict("records") == [{"prompt": "p", "chosen": "None", "rejected": "NA"}]


@pytest.mark.parametrize(
    ("path", "words"),
    [("nowhere.json", ["no such file", "OWNER/NAME"]), ("in", ["no data set", "notes.txt"]), ("a/b/c", ["no such file", "a/b"])],
)  # fmt: skip
def test_a_place_without_data_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    write(tmp_path / "in/notes.txt", "x")
    message = told(tmp_path, path)
    for word in words:
        assert word in message


def test_a_folder_whose_files_are_broken_is_explained(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in/train.jsonl", '{"prompt": \n')
    message = told(tmp_path, tmp_path / "in")
    assert "datasets cannot load it" in message
    assert "pairs=FOLDER/FILE" in message


def test_a_folder_of_several_configurations_says_how_to_choose_one(tmp_path: Path) -> None:
    parts = "".join(f"- config_name: {name}\n  data_files: {name}.jsonl\n" for name in "ab")
    (tmp_path / "in").mkdir()
    write(tmp_path / "in/README.md", f"---\nconfigs:\n{parts}---\n")
    for name in "ab":
        write(tmp_path / f"in/{name}.jsonl", lines(ROWS))
    for subset in (None, "c"):
        message = told(tmp_path, tmp_path / "in", subset=subset)
        assert "['a', 'b']" in message
        assert "choose one with pairs.subset=NAME" in message
    assert len(pairs_of(stage(tmp_path, tmp_path / "in", subset="b"))) == 40


def test_a_split_that_is_not_there_is_told_with_its_nearest(tmp_path: Path) -> None:
    path = write_as("saved_dict", tmp_path / "in", ROWS)
    message = told(tmp_path, path, splits=PairSplitsConfig(train="trian"))
    assert "has the splits train; did you mean 'train'?" in message


def test_a_folder_may_hold_files_of_other_names_than_utf8(tmp_path: Path) -> None:
    folder = write_as("folder", tmp_path / "in", ROWS)
    write(folder / os.fsdecode(b"notes\xff.txt"), "x")
    assert len(pairs_of(stage(tmp_path, folder))) == 40


def test_a_name_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"rows\xff.jsonl")
    assert "the name is not UTF-8: rename" in told(tmp_path, write(path, lines(ROWS)))


def test_a_pipe_and_a_link_to_nowhere_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path.parent)  # where a relative one looks like a name on the hub
    for path in (tmp_path / "pipe", tmp_path / "link", f"{tmp_path.name}/link"):
        assert "a pipe or a link that leads nowhere came" in told(tmp_path, path)


@pytest.mark.parametrize(
    ("chosen", "rejected", "options", "words"),
    [
        (7, "b", {"bad_rows": "drop"}, "bad_row: pairs.bad_rows=stop names"),
        ("x  = 1", "x = 1", {}, "filter_ast_equal: pairs.drop_ast_equal=false"),
        ("a\n" * 30, "b\n" * 30, {}, "filter_d_minus_lines: raise pairs.max_d_minus_lines"),
        ("a b c", "b c a", {"max_characters": 4}, "filter_max_characters: raise pairs.max_characters"),
        ("a b c", "a b c ", {}, "filter_identical: chosen and rejected say the same"),
    ],
)  # fmt: skip
def test_when_no_pair_is_left_the_remedy_is_that_of_the_commonest_reason(
    tmp_path: Path, chosen: Any, rejected: str, options: dict[str, Any], words: str
) -> None:
    rows = [*({"prompt": f"p{i}", "chosen": chosen, "rejected": rejected} for i in range(3)), {**row(1), "rejected": row(1)["chosen"]}]  # fmt: skip
    message = told(tmp_path, write(tmp_path / "rows.jsonl", lines(rows)), **options)
    assert "no preference pair is left of 4 rows" in message
    assert f"Most fell to {words}" in message
