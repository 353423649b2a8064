"""Anyone's pairs through the stage: each kind of file and folder gives the same pairs."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iterpref.artifacts import Artifact
from iterpref.codeflow import external
from iterpref.codeflow.pair_stages import external_pairs_stage
from iterpref.config import PairsConfig
from iterpref.config.pairs import PairSplitsConfig
from iterpref.errors import UserError
from iterpref.schema import Message, PreferencePair

Row = dict[str, Any]
CODEFLOW = Path(__file__).parents[1] / "data/codeflow_shape.json"


def row(i: int, bad: str = "-", **more: Any) -> Row:
    def code(sign: str) -> str:
        return f"```python\ndef f{i}(a, b):\n    # é\u2028 of {i}\n    return a {sign} b\n```"

    return {"prompt": f"Write f{i}, which adds.", "chosen": code("+"), "rejected": code(bad), **more}


ROWS = [row(i) for i in range(40)]


def stage(tmp_path: Path, path: Path | str, **options: Any) -> Artifact:
    return external_pairs_stage(tmp_path / "data", PairsConfig(source="external", path=str(path), **options))


def pairs_of(artifact: Artifact) -> list[PreferencePair]:
    return artifact.read("pairs", PreferencePair)


def told(tmp_path: Path, path: Path | str, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        stage(tmp_path, path, **options)
    assert not list(tmp_path.rglob("pairs.parquet"))
    return str(error.value)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(r) + "\n" for r in rows)


def write_as(kind: str, path: Path, rows: list[Row]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset, DatasetDict

    path.mkdir()
    if kind == "list.json":
        return write(path / kind, json.dumps(rows, indent=2, ensure_ascii=False))
    if kind in ("rows.jsonl", "lines.json"):
        return write(path / kind, lines(rows))
    if kind == "bom.json":
        return write(path / kind, b"\xef\xbb\xbf \n" + json.dumps(rows).encode())
    if kind.endswith(".gz"):
        return write(path / kind, gzip.compress((json.dumps(rows) if "list" in kind else lines(rows)).encode()))
    if kind == "rows.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path / kind)
        return path / kind
    if kind == "save_to_disk":
        Dataset.from_list(rows).save_to_disk(str(path / kind))
    elif kind == "saved_dict":
        DatasetDict({"train": Dataset.from_list(rows)}).save_to_disk(str(path / kind))
    else:
        (path / kind).mkdir()
        write(path / kind / "train.jsonl", lines(rows))
    return path / kind


KINDS = ["list.json", "rows.jsonl", "lines.json", "bom.json", "list.json.gz", "rows.jsonl.gz", "rows.parquet",
         "save_to_disk", "saved_dict", "folder"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_and_folder_gives_the_same_pairs(tmp_path: Path, kind: str) -> None:
    path = write_as(kind, tmp_path / "in", ROWS)
    artifact = stage(tmp_path, path)
    pairs = pairs_of(artifact)
    assert [(p.prompt, p.chosen, p.rejected) for p in pairs] == [
        (r["prompt"], r["chosen"], r["rejected"]) for r in ROWS
    ]
    assert [p.pair_id for p in pairs] == [f"{path.name}:{i}" for i in range(1, 41)]
    assert {(p.d_minus, p.d_plus, p.source) for p in pairs} == {((3,), (3,), path.name)}
    assert artifact.manifest["counts"]["rows"] == artifact.manifest["counts"]["pairs"] == 40
    assert artifact.manifest["counts"]["splits"] == {"test": 6, "train": 32, "validation": 2}
    assert stage(tmp_path, path) == artifact


def test_a_conversation_is_kept_in_turns_in_every_kind_of_file(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "p"}]
    rows = [{"prompt": turns, "chosen": [{"role": "assistant", "content": "x = 1"}], "rejected": [{"role": "assistant", "content": f"x = {i}"}]} for i in range(2, 9)]  # fmt: skip
    for kind in ("list.json", "rows.parquet", "save_to_disk"):
        pairs = pairs_of(stage(tmp_path, write_as(kind, tmp_path / kind.replace(".", "_"), rows)))
        assert {p.turns for p in pairs} == {(Message("system", "s"), Message("user", "p"))}
        assert {p.prompt for p in pairs} == {"system: s\n\nuser: p"}
        assert len({p.split for p in pairs}) == 1, "one prompt stands in one split"


def test_the_key_follows_the_content_and_not_the_folder(tmp_path: Path) -> None:
    first = stage(tmp_path, write_as("rows.jsonl", tmp_path / "a", ROWS))
    assert stage(tmp_path, write_as("rows.jsonl", tmp_path / "b", ROWS)) == first
    assert stage(tmp_path, write_as("rows.jsonl", tmp_path / "c", ROWS[1:])) != first
    assert stage(tmp_path, tmp_path / "a/rows.jsonl", test_share=0.2) != first


def test_another_way_of_reading_rows_is_another_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_as("rows.jsonl", tmp_path / "in", ROWS)
    first = stage(tmp_path, path)
    monkeypatch.setattr(external, "VERSION", external.VERSION + 1)
    assert stage(tmp_path, path) != first


def test_splits_of_a_data_set_are_taken_and_missing_ones_are_made_of_its_train(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    parts = {"train": ROWS[:30], "test": ROWS[30:], "extra": ROWS[:1]}
    DatasetDict({k: Dataset.from_list(v) for k, v in parts.items()}).save_to_disk(str(tmp_path / "in"))
    artifact = stage(tmp_path, tmp_path / "in")
    assert artifact.manifest["counts"]["splits"] == {"test": 10, "train": 25, "validation": 5}
    assert artifact.manifest["source"]["ignored_splits"] == ["extra"]
    assert {p.pair_id for p in pairs_of(artifact) if p.split == "test"} == {f"in/test:{i}" for i in range(1, 11)}
    other = stage(tmp_path, tmp_path / "in", splits=PairSplitsConfig(train="test", test="extra"), validation_share=0.0)
    assert other.manifest["counts"]["splits"] == {"test": 1, "train": 10}


def test_what_is_not_read_and_what_is_repeated_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told_row = {"prompt": "\n\nHuman: q\n\nAssistant:", "system": "Be brief."}
    rows = [
        {**told_row, "chosen": told_row["prompt"] + f" {i}", "rejected": told_row["prompt"] + " no"} for i in range(4)
    ]
    stage(tmp_path, write(tmp_path / "rows.jsonl", lines(rows)))
    assert "'system' is not read" in caplog.text
    assert "pairs.columns.system=system reads it" in caplog.text
    assert "in 4 of 4 rows both answers begin with the whole prompt" in caplog.text


def test_a_prompt_of_a_held_out_split_is_not_trained_on(tmp_path: Path) -> None:
    rows = [
        row(1, split="train"),
        row(1, "*", split="test"),
        row(2, split="validation"),
        row(2, "*", split="train"),
        row(3, split="train"),
    ]
    rows[2]["prompt"] += " \n"
    artifact = stage(tmp_path, write(tmp_path / "rows.jsonl", lines(rows)))
    assert [(p.pair_id[-1], p.split) for p in pairs_of(artifact)] == [
        ("2", "test"),
        ("3", "validation"),
        ("5", "train"),
    ]
    assert artifact.manifest["counts"]["dropped"] == {"prompt_in_held_out_split": 2}


def test_made_splits_depend_on_the_prompt_alone(tmp_path: Path) -> None:
    rows = [row(i, sign) for i in range(60) for sign in "-*"]
    split = {
        p.prompt: p.split for p in pairs_of(stage(tmp_path, write(tmp_path / "a.jsonl", lines(rows)), test_share=0.3))
    }
    random.Random(0).shuffle(rows)
    pairs = pairs_of(stage(tmp_path, write(tmp_path / "b.jsonl", lines(rows[:80])), test_share=0.3))
    assert all(split[p.prompt] == p.split for p in pairs)
    assert 10 <= sum(s == "test" for s in split.values()) <= 26


def test_a_hub_id_goes_through_load_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[Any] = []

    def load_dataset(name: str, subset: str | None, revision: str | None = None) -> Any:
        asked.append((name, subset, revision))
        part = [{**r, "score": 1.0, "messages": None} for r in ROWS]
        return datasets.DatasetDict(
            {n: datasets.Dataset.from_list(part) for n in ("train_prefs", "test_prefs", "train_sft")}
        )

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    message = told(tmp_path, "some/feedback")
    assert "train_prefs, test_prefs, train_sft" in message
    assert "pairs.splits.train=NAME" in message
    splits = PairSplitsConfig(train="train_prefs", test="test_prefs")
    assert "all" in told(tmp_path, "some/feedback", splits=PairSplitsConfig(train="all"))
    artifact = stage(tmp_path, "some/feedback", splits=splits, subset="default", revision="abc")
    assert asked[-1] == ("some/feedback", "default", "abc")
    # Both splits hold the same prompts here, so that none is left to train on but those of the test split.
    assert artifact.manifest["counts"]["splits"] == {"test": 40}
    assert artifact.manifest["counts"]["dropped"] == {"prompt_in_held_out_split": 40}
    assert pairs_of(artifact)[0].source == "some/feedback"


def test_equal_answers_are_dropped_and_counted_with_every_other_reason(tmp_path: Path) -> None:
    rows = [
        row(0),
        {**row(1), "rejected": row(1)["chosen"]},
        {**row(2), "rejected": row(2)["chosen"].replace("# é", "# e")},
        {**row(3), "rejected": row(3)["chosen"].replace("a + b", "a  +  b")},
        {"prompt": "p", "chosen": "x", "rejected": "y" * 300_000},
        {"prompt": "p", "chosen": "\n".join(map(str, range(30))), "rejected": "\n".join(map(str, range(30, 60)))},
    ]
    artifact = stage(tmp_path, write(tmp_path / "rows.json", json.dumps(rows)))
    counts = artifact.manifest["counts"]
    assert counts["dropped"] == {
        "filter_identical": 1, "filter_comment_only": 1, "filter_ast_equal": 1, "filter_max_characters": 1, "filter_d_minus_lines": 1,
    }  # fmt: skip
    assert counts["rows"] == counts["pairs"] + sum(counts["dropped"].values())
    assert all(f.passed for f in pairs_of(artifact)[0].filters)


def test_when_no_pair_is_left_the_reasons_are_told(tmp_path: Path) -> None:
    rows = [{**r, "rejected": r["chosen"]} for r in ROWS]
    message = told(tmp_path, write(tmp_path / "rows.jsonl", lines(rows)))
    assert "no preference pair is left of 40 rows (filter_identical: 40)" in message


def test_prose_extra_columns_and_long_answers_go_through(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Why? 😀", "chosen": "Since é.\r\nTwice.", "rejected": "No.\nTwice.", "id": 3, "meta": {"a": None}},
        {"prompt": "Long", "chosen": "word " * 20_000, "rejected": "word " * 19_999 + "end", "id": None, "meta": None},
        {
            "prompt": "Java",
            "chosen": "```java\nint a;\n```",
            "rejected": "```java\nint b;\n```",
            "id": 5,
            "meta": {"a": [None]},
        },
    ]
    artifact = stage(tmp_path, write(tmp_path / "rows.jsonl", lines(rows)))
    pairs = pairs_of(artifact)
    assert [p.chosen for p in pairs] == ["Since é.\nTwice.", "word " * 20_000, "```java\nint a;\n```"]
    assert [p.d_minus for p in pairs] == [(0,), (0,), (1,)]
    assert artifact.manifest["counts"]["noted"] == {"ast_equal_not_applied": 3, "comment_only_not_applied": 3}


def test_a_fence_behind_words_opens_a_program_and_what_is_left_behind_the_last_one_is_none(tmp_path: Path) -> None:
    code = "Here it is: ```python\nx = {}\n```{}"
    rows = [
        {"prompt": f"p{i}", "chosen": code.format(1, end), "rejected": code.format(2, end)}
        for i, end in enumerate(("", "\nDone"))
    ]
    rows.append({"prompt": "bare", "chosen": "Run it: ```\nx = 1\n```", "rejected": "Run it: ```\nx = 2\n```"})
    artifact = stage(tmp_path, write(tmp_path / "rows.jsonl", lines(rows)))
    assert [(p.d_minus, p.d_plus) for p in pairs_of(artifact)] == [((1,), (1,))] * 3
    assert artifact.manifest["counts"]["noted"] == {"ast_equal_not_applied": 1, "comment_only_not_applied": 1}


def test_what_rows_say_beside_their_pairs_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    turns = [{"role": "assistant", "content": "x = 1", "thinking": "one"}], [{"role": "assistant", "content": "x = 2"}]
    rows = [{"prompt": f"p{i}", "chosen": turns[0], "rejected": turns[1], "input": "y" * (i > 3)} for i in range(5)]
    stage(tmp_path, write(tmp_path / "rows.jsonl", lines(rows)))
    assert "'input' is not read" in caplog.text
    assert "'thinking' of the turns is not read" in caplog.text


def test_the_public_files_shape_reads_with_d_minus_inside_the_fence(tmp_path: Path) -> None:
    pairs = pairs_of(stage(tmp_path, CODEFLOW))
    assert len(pairs) == 20
    for pair in pairs:
        bad, good = pair.rejected.split("\n"), pair.chosen.split("\n")
        assert pair.d_minus or pair.d_plus
        assert not any(bad[i].startswith("```") for i in pair.d_minus)
        assert not any(good[i].startswith("```") for i in pair.d_plus)


def test_a_finished_stage_of_ours_comes_back_with_its_turns(tmp_path: Path) -> None:
    turns = [{"role": r, "content": c} for r, c in (("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"))]
    rows = [row(1), {**row(2), "prompt": turns}]
    first = stage(tmp_path, write(tmp_path / "rows.jsonl", lines(rows)))
    again = stage(tmp_path / "again", first.folder)
    assert [replace(p, source="") for p in pairs_of(again)] == [replace(p, source="") for p in pairs_of(first)]
    assert len(pairs_of(again)[1].turns) == 4


def test_our_own_ids_come_back_and_a_doubled_one_is_told_apart(tmp_path: Path) -> None:
    rows = [row(1, pair_id="t#0", task_id="t", category="c", note="n"), row(2, pair_id="t#0", task_id="t"), row(3)]
    pairs = pairs_of(stage(tmp_path, write(tmp_path / "rows.jsonl", lines(rows))))
    assert [(p.pair_id, p.task_id, p.category, p.note) for p in pairs] == [
        ("t#0", "t", "c", "n"), ("rows.jsonl:2", "t", "", ""), ("rows.jsonl:3", "rows.jsonl:3", "", ""),
    ]  # fmt: skip


def test_an_id_that_is_another_rows_place_stays_one_rows_own(tmp_path: Path) -> None:
    rows = [row(1, pair_id="rows.jsonl:3"), row(2, pair_id="rows.jsonl:3"), row(3), row(4)]
    pairs = pairs_of(stage(tmp_path, write(tmp_path / "rows.jsonl", lines(rows))))
    assert [p.pair_id[-4:] for p in pairs] == ["nl:3", "nl:2", ":3+2", "nl:4"]


@pytest.mark.parametrize("turns", [2, ["a", "b"], "two"])
def test_somebody_elses_column_of_the_name_turns_is_no_prompt(tmp_path: Path, turns: Any) -> None:
    path = write(tmp_path / "rows.jsonl", lines([row(1, pair_id="a", turns=turns)]))
    assert pairs_of(stage(tmp_path, path))[0].prompt == "Write f1, which adds."


def test_a_column_of_splits_is_read_by_its_usual_names_and_others_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["train", "val", "dev", "valid", "validation", "test", "eval", None, ["test"], 1, "\ud800"]
    path = write(tmp_path / "rows.jsonl", lines([row(i, split=name) for i, name in enumerate(names)]))
    pairs = pairs_of(stage(tmp_path, path, validation_share=0.0, test_share=0.0))
    assert [p.split for p in pairs] == ["train", *["validation"] * 4, "test", *["train"] * 5]
    assert (
        "the column 'split' holds '\\ud800', 'eval', 1, ['test'], and train, validation, valid, val, dev, test are known"
        in caplog.text
    )


def test_what_datasets_keeps_as_json_is_read_as_what_it_says(tmp_path: Path) -> None:
    from datasets import load_dataset

    def turns(content: Any) -> list[Row]:
        return [{"role": "assistant", "content": content}]

    rows = [
        {"prompt": "p", "chosen": 'x = "1"\n', "rejected": "x = 2\n"},
        {"prompt": "p", "chosen": turns([{"type": "text", "text": "x = 1\n"}]), "rejected": turns("x = 2\n")},
        {"prompt": "p", "chosen": turns("x = 3\n"), "rejected": 7},
    ]
    (tmp_path / "in").mkdir()
    file = write(tmp_path / "in/train.jsonl", lines(rows))
    for mixed in (rows, [{**r, "rejected": turns("x = 2\n")} for r in rows[1:]]):
        write(file, lines(mixed))
        loaded = load_dataset(str(tmp_path / "in"), split="train", cache_dir=str(tmp_path / "cache"))
        assert "Json" in repr(loaded.features), "or nothing is tried here"
        loaded.to_parquet(str(tmp_path / "rows.parquet"))
        expected = [(p.chosen, p.rejected) for p in pairs_of(stage(tmp_path, file, bad_rows="drop"))]
        for path in (tmp_path / "in", tmp_path / "rows.parquet"):
            artifact = stage(tmp_path, path, bad_rows="drop")
            assert [(p.chosen, p.rejected) for p in pairs_of(artifact)] == expected
            assert artifact.manifest["counts"]["rows"] == len(mixed)


@pytest.mark.parametrize("other", ["more.jsonl", "deep/train.parquet"])
def test_files_that_datasets_passes_over_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, other: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = write_as("folder", tmp_path / "in", ROWS[:2])
    write(path / "train-2.jsonl", lines(ROWS[2:4]))
    stage(tmp_path, path)
    assert "passes over" not in caplog.text
    (path / other).parent.mkdir(exist_ok=True)
    if other.endswith("jsonl"):
        write(path / other, lines(ROWS[4:6]))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS[4:6]), path / other)
    assert stage(tmp_path, path).manifest["counts"]["rows"] == 4
    assert f"passes over {other};" in caplog.text
