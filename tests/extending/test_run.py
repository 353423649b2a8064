"""All parts at once, by the command of docs/extending.md; and what happens when one of them changes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from iterpref.config import Config
from iterpref.errors import UserError
from iterpref.registry import LINKS, LOCALISERS, MASKS, import_plugins

ROOT = Path(__file__).parents[2]


def command() -> list[str]:
    """The one that docs/extending.md tells to run with everything in it."""
    text = (ROOT / "docs" / "extending.md").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^    (python -m iterpref\.train --config-dir .*)$", text, re.M)
    return shlex.split(line)[1:]


@pytest.mark.slow
def test_the_documented_command_trains_with_all_parts(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    done = subprocess.run(
        # Many a bug in these tasks is a loop without an end.
        [sys.executable, *command(), "paths.run=run", "sandbox.cpu_s=0.3"], cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    pairs = pq.read_table(tmp_path / "data_cache" / "pairs" / data["pairs"] / "pairs.parquet").to_pylist()
    assert {row["diff_algo"] for row in pairs} == {"suffix"}
    assert all(row["task_id"].startswith("digits/") for row in pairs)
    tokens = pq.read_table(tmp_path / "data_cache" / "tokens" / data["tokens"] / "tokens.parquet").to_pylist()
    assert all(sum(row["rejected_mask"]) == 1 < sum(row["rejected_focal"]) for row in tokens)


def test_a_changed_rule_is_another_stage_and_another_run(tmp_path: Path) -> None:
    import iterpref
    from iterpref.artifacts import Artifact
    from iterpref.data.tokens import _identity
    from iterpref.run_record import run_key

    tokenizer = Path(iterpref.__file__).parent / "models" / "tiny"
    config = Config()
    config.mask.rejected = "changing"

    def keys(file: str, weight: float) -> tuple[str, str]:
        (tmp_path / file).write_text(
            f"import numpy as np\nfrom iterpref.registry import MASKS\n\nWEIGHT = {weight}\n\n@MASKS.register('changing')\n"
            "def rule(side):\n    return WEIGHT * np.ones(len(side.focal))\n"
        )
        import_plugins([str(tmp_path / file)])
        return _identity(Artifact(tmp_path / "pairs", {}), tokenizer, config)[0], run_key(config)

    first, second, third = keys("a.py", 0.5), keys("b.py", 0.25), keys("c.py", 0.5)
    assert first == third
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_a_name_is_an_option_once_it_is_registered(tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    from iterpref.config import load, to_dict

    plain = OmegaConf.create(to_dict(Config()))
    plain.loss.link = "from_a_file"
    with pytest.raises(UserError, match=r"loss\.link=from_a_file is none of sigmoid, hinge, ipo.*plugins=\[FILE\.py\]"):
        load(plain)
    file = tmp_path / "mine.py"
    file.write_text(
        "from iterpref.registry import LINKS\n\n@LINKS.register('from_a_file')\ndef f(a, b, config):\n    return b - a\n"
    )
    plain.plugins = [str(file)]
    assert load(plain).loss.link == "from_a_file"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nowhere.py", "there is no such file"),
        ("no_such_module", "cannot be imported: No module named 'no_such_module'"),
    ],
)
def test_a_plugin_that_is_not_there_is_named(name: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        import_plugins([name])


def test_our_names_are_ours_and_all_have_a_function() -> None:
    for registry in (LINKS, MASKS, LOCALISERS):
        for name in registry.built_in:
            assert callable(registry.get(name))
            assert registry.digest(name) is None
            with pytest.raises(UserError, match="is built in"):
                registry.register(name)(lambda: None)
    with pytest.raises(UserError, match="small letters"):
        LINKS.register("Mine!")(lambda: None)


def test_an_added_part_that_returns_nonsense_is_named() -> None:
    import numpy as np

    from iterpref.config import MaskConfig
    from iterpref.data.diff import localise
    from iterpref.data.masking import Side, mask_weights
    from iterpref.data.tokenise import Tokens

    MASKS.register("too_heavy")(lambda side: 2 * np.ones(len(side.focal)))
    LOCALISERS.register("beyond")(lambda rejected, chosen: ([7], []))
    none = np.zeros(0, np.int32)
    with pytest.raises(UserError, match=r"mask rule too_heavy, pair p: 1 weights in \[0, 1\]"):
        mask_weights("too_heavy", Side("", Tokens(none, none, none), np.zeros(1, np.uint8), (), MaskConfig()), "p")
    with pytest.raises(UserError, match="line numbers from 0 to 0 were expected, 7 to 7 came"):
        localise("a", "b", "beyond")
