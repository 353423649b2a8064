"""Somebody else's pairs through the real commands: prepare, train, evaluate, report, export, and back again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from iterpref.artifacts import publish
from iterpref.codeflow.card import COLUMNS
from iterpref.codeflow.export import export_pairs
from iterpref.codeflow.pair_stages import external_pairs_stage
from iterpref.config import PairsConfig
from iterpref.errors import UserError
from iterpref.schema import Message, PreferencePair

PUBLIC_SHAPE = Path(__file__).parents[1] / "data/codeflow_shape.json"
DATA = ("experiment=smoke", "model.layers=1", "data.max_train_pairs=8")
SMALL = (*DATA, "trainer.epochs=1", "evaluate.max_tasks=1")
Command = Callable[..., str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("external")


@pytest.fixture
def command(
    place: Path, commands_here: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """A command in this process; what it says: its output, or behind `code` its one sentence."""

    def run(name: str, *arguments: str, code: int = 0) -> str:
        monkeypatch.chdir(place)
        main = import_module(f"iterpref.{name}").main
        if not code:
            main(list(arguments))
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        assert stopped.value.code == code
        told = capsys.readouterr().err
        assert "Traceback" not in told
        return told.rpartition("iterpref: ")[2]

    return run


def test_the_public_files_shape_is_prepared_trained_on_evaluated_and_reported(place: Path, command: Command) -> None:
    told = command("prepare", *DATA, f"pairs={PUBLIC_SHAPE}")
    assert "rows                 20 in" in told
    assert "tokenised            20" in told
    command("train", *SMALL, f"pairs={PUBLIC_SHAPE}", "paths.run=run", "pairs.test_share=0.2")
    record = json.loads((place / "run/run.json").read_text())
    assert set(record["data"]) == {"folder", "pairs", "tokens"}
    assert (place / "run/export/model.safetensors").is_file()
    command("evaluate", "run")
    after = json.loads((place / "run/evaluation/after.json").read_text())
    assert after["preference"]["n_pairs"] >= 1
    assert after["pass_at_1"]["n_tasks"] == 1
    command("report", "run")
    page = (place / "run/report.html").read_text()
    assert "rows read" in page
    assert f"The pairs were read from {PUBLIC_SHAPE}" in page
    assert "Not here yet" not in page
    assert not list(place.rglob("trajectories"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pairs=papr",), ["did you mean 'paper'", "OWNER/NAME"]),
        (("pairs=nowhere.json",), ["nowhere.json", "no such file or folder"]),
        ((f"pairs={PUBLIC_SHAPE}", "debug.samples=3"), ["debug.samples has no effect"]),
        ((f"pairs={PUBLIC_SHAPE}", "pairs.negative=first"), ["pairs.negative has no effect"]),
        (("pairs.bad_rows=drop",), ["pairs.bad_rows has no effect"]),
        (("pairs.path=a.json",), ["pairs=a.json"]),
    ],
)  # fmt: skip
def test_a_newcomers_mistake_ends_with_one_sentence(
    command: Command, arguments: tuple[str, ...], words: list[str]
) -> None:
    message = command("prepare", "model=tiny", *arguments, code=2)
    for word in words:
        assert word in message


def test_pairs_beyond_the_models_last_position_are_told_before_their_log_probs_are_made(
    place: Path, command: Command
) -> None:
    rows = [{"prompt": f"p{i}", "chosen": "x = 1\n" * 2000, "rejected": "x = 1\n" * 1999 + "x = 2\n"} for i in range(9)]
    (place / "long.json").write_text(json.dumps(rows))
    overrides = ("pairs=long.json", "data.max_completion_tokens=20000", "paths.data=long", "paths.run=long_run")
    message = command("train", *SMALL, *overrides, code=2)
    assert "but tiny ends at 4096: lower data.max_prompt_tokens and data.max_completion_tokens" in message
    assert not list((place / "long/reference").glob("*/manifest.json"))


def test_an_export_opens_in_datasets_and_comes_back_the_same(place: Path, command: Command) -> None:
    from datasets import load_dataset

    command("export", "our pairs", f"pairs={PUBLIC_SHAPE}", "pairs.validation_share=0.3")
    folder = place / "our pairs"
    first = external_pairs_stage(
        place / "data_cache", PairsConfig(source="external", path=str(PUBLIC_SHAPE), validation_share=0.3)
    )
    pairs = first.read("pairs", PreferencePair)
    opened = load_dataset(str(folder), cache_dir=str(place / "cache"))
    assert {split: len(rows) for split, rows in opened.items()} == first.manifest["counts"]["splits"]
    assert list(opened["train"].column_names)[:3] == ["prompt", "chosen", "rejected"]
    header = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert (header["license"], header["size_categories"]) == ("unknown", ["n<1K"])
    for form in ("plain", "conversational"):
        written = export_pairs(first, None, place / form, form)
        again = external_pairs_stage(place / "again", PairsConfig(source="external", path=str(written)))
        back = {p.pair_id: p for p in again.read("pairs", PreferencePair)}
        assert [replace(back[p.pair_id], source=p.source) for p in pairs] == pairs


@pytest.fixture
def several_turns(tmp_path: Path):
    pair = PreferencePair(
        "p", "t", "train", "", "system: s\n\nuser: q", "x = 1", "x = 2", -1, -1, "", (0,), (0,), (), (), "lcs", "literal",
        False, turns=(Message("system", "s"), Message("user", "q")),
    )  # fmt: skip
    manifest = {"config": {"pairs": {"diff": "lcs", "empty_d_minus": "literal", "max_d_minus_lines": 20, "drop_comment_only": True, "drop_ast_equal": True}},
                "parsed_by": "Python", "source": {"name": "a", "sha256": "b"}, "counts": {"rows": 2, "pairs": 2, "dropped": {}, "splits": {"train": 2}}}  # fmt: skip
    return publish(tmp_path / "pairs", "k", {"pairs": (PreferencePair, [pair, replace(pair, turns=())])}, manifest)


def test_a_prompt_of_several_turns_is_exported_in_turns_only(tmp_path: Path, several_turns) -> None:
    from datasets import load_dataset

    folder = export_pairs(several_turns, None, tmp_path / "out", "auto")
    rows = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache")).to_list()
    assert [t["role"] for t in rows[0]["prompt"]] == ["system", "user"]
    assert rows[1]["prompt"] == [{"role": "user", "content": "system: s\n\nuser: q"}]
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "x = 1"}]
    with pytest.raises(UserError, match=r"export\.form=conversational"):
        export_pairs(several_turns, None, tmp_path / "other", "plain")


def test_what_is_not_ours_is_never_overwritten(tmp_path: Path, several_turns) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.txt.*give a new folder"):
        export_pairs(several_turns, None, folder, "auto")
    (folder / "thesis.txt").unlink()
    export_pairs(several_turns, None, folder, "auto")
    export_pairs(several_turns, None, folder, "auto")
    for name, content in (("notes.md", "mine"), ("README.md", "my own card")):
        export_pairs(several_turns, None, folder, "auto")
        (folder / name).write_text(content)
        with pytest.raises(UserError, match=f"{name} came or changed"):
            export_pairs(several_turns, None, folder, "auto")
        assert (folder / name).read_text() == content
        (folder / name).unlink()
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        export_pairs(several_turns, None, tmp_path / "file", "auto")
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_link_to_a_folder_stays_and_what_it_leads_to_is_written(tmp_path: Path, several_turns) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/new")
    for _ in range(2):
        export_pairs(several_turns, None, tmp_path / "link", "auto")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "disk/new/data/train.parquet").is_file()
    left = [p.name for folder in (tmp_path, tmp_path / "disk") for p in folder.iterdir() if p.name.startswith(".")]
    assert not left


@pytest.mark.parametrize("name", [".", "..", "../here"])
def test_the_folder_that_one_stands_in_is_not_replaced(
    tmp_path: Path, several_turns, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match="you stand in this folder.*give a new folder"):
        export_pairs(several_turns, None, Path(name), "auto")
    assert not list((tmp_path / "here").iterdir())


def test_the_card_explains_every_column() -> None:
    explained = {name for names in COLUMNS for name in names.split(", ")}
    assert explained == {f.name for f in fields(PreferencePair)} - {"turns"}


@pytest.mark.parametrize("form", ["plain", "conversational"])
def test_trl_trains_on_an_export_as_it_is(tmp_path: Path, form: str) -> None:
    trl = pytest.importorskip("trl")
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from iterpref.config import ModelConfig
    from iterpref.models.source import resolve_model

    pairs = external_pairs_stage(tmp_path, PairsConfig(source="external", path=str(PUBLIC_SHAPE)))
    folder = export_pairs(pairs, None, tmp_path / "out", form)
    model = resolve_model(ModelConfig(source="tiny", layers=1, hidden=32), tmp_path, 0)
    rows = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache")).select(range(2))
    arguments = trl.DPOConfig(
        output_dir=str(tmp_path / "trl"), max_steps=1, per_device_train_batch_size=2, report_to=[], save_strategy="no",
        use_cpu=True, bf16=False, max_length=256, disable_tqdm=True,
    )  # fmt: skip
    trainer = trl.DPOTrainer(
        AutoModelForCausalLM.from_pretrained(model), args=arguments, train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(model),
    )  # fmt: skip
    assert trainer.train().training_loss == pytest.approx(0.693, abs=0.01)
