"""The stage from pairs to tokens: streamed, resumed, the same bytes whoever makes the shards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_stages import digest
from transformers import AutoTokenizer

from iterpref import artifacts
from iterpref.artifacts import Artifact, publish
from iterpref.config import Config, MaskConfig
from iterpref.data import tokens
from iterpref.data.examples import open_examples
from iterpref.data.masking import tokenise_pairs
from iterpref.data.tokens import make_shard, tokens_stage
from iterpref.errors import UserError
from iterpref.schema import PreferencePair

from .cases import made_pair

TINY = Path(__file__).parents[2] / "src/iterpref/models/tiny"
N = 50


def rows(n: int = N) -> Iterator[PreferencePair]:
    for i in range(n):
        good = f"```python\ndef f{i}(x):\n" + "".join(f"    x += {j}\n" for j in range(i % 7)) + "    return x\n```"
        prompt = "long " * 2000 if i % 17 == 3 else f"Write f{i}."
        yield made_pair(
            good.replace("return", "print"), good, pair_id=f"t{i:03d}", prompt=prompt, split=("train", "test")[i % 2]
        )


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """In row groups of eight, so that there are seven shards."""
    monkeypatch.setattr(artifacts, "ROWS_PER_GROUP", 8)
    return publish(tmp_path / "pairs", "k", {"pairs": (PreferencePair, rows())}, {})


def settings(**mask: Any) -> Config:
    config = Config(mask=MaskConfig(**mask))
    config.model.prompt_format = "plain"
    return config


@pytest.mark.parametrize(
    "mask", [{}, {"full_share": 0.5, "eos": False}, {"chosen": "fence", "rejected": "diff_aug"}, {"rejected": "soft"}]
)
def test_the_stage_gives_what_all_pairs_at_once_would(tmp_path: Path, pairs: Artifact, mask: dict[str, Any]) -> None:
    config = settings(**mask)
    made = tokens_stage(tmp_path, pairs, TINY, config)
    every = list(rows())
    expected, drops = tokenise_pairs(
        every, [p.prompt for p in every], AutoTokenizer.from_pretrained(TINY), config.mask, config.data, config.seed
    )
    assert list(open_examples(made.table("tokens"), tmp_path / "cache")) == expected
    counts = made.manifest["counts"]
    assert counts["dropped"] == {reason: len(ids) for reason, ids in drops.items()} == {"prompt_over_1024_tokens": 3}
    assert (counts["pairs"], counts["examples"]) == (N, N - 3)
    assert counts["splits"] == {s: sum(e.split == s for e in expected) for s in ("train", "test")}
    assert counts["tokens"] == sum(len(e.prompt_ids) + len(e.chosen_ids) + len(e.rejected_ids) for e in expected)
    assert counts["focal_tokens_rejected"] == sum(int(sum(e.rejected_focal)) for e in expected)
    assert [p.name for p in (tmp_path / "tokens").iterdir() if p.suffix != ".lock"] == [made.fingerprint]


def test_a_shard_that_is_there_is_not_made_again_and_a_torn_one_is(
    tmp_path: Path, pairs: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = tokens_stage(tmp_path / "calm", pairs, TINY, settings())
    made: list[int] = []

    def stopping(work: tokens.Work, index: int) -> None:
        if len(made) == 4:
            raise KeyboardInterrupt
        make_shard(work, index)
        made.append(index)

    with monkeypatch.context() as patched:
        patched.setattr(tokens, "make_shard", stopping)
        with pytest.raises(KeyboardInterrupt):
            tokens_stage(tmp_path, pairs, TINY, settings())
    assert made == [0, 1, 2, 3]
    (shards,) = (tmp_path / "tokens").glob(".*.shards")
    torn = shards / "00002.arrow"
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    (shards / "00005.123.partial").write_bytes(b"of a killed process")
    made.clear()
    monkeypatch.setattr(tokens, "make_shard", lambda work, index: (made.append(index), make_shard(work, index)))
    assert digest(tokens_stage(tmp_path, pairs, TINY, settings())) == digest(calm)
    assert made == [2, 4, 5, 6]


def test_the_seed_is_part_of_the_key_only_where_something_is_drawn(tmp_path: Path, pairs: Artifact) -> None:
    def key(mask: dict[str, Any], seed: int) -> str:
        return tokens_stage(tmp_path, pairs, TINY, replace(settings(**mask), seed=seed)).fingerprint

    assert key({}, 0) == key({}, 1)
    for mask in ({"full_share": 0.5}, {"rejected": "diff_aug"}):
        assert key(mask, 0) != key(mask, 1)


def test_a_tokenizer_that_fails_names_the_record_and_keeps_what_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "ROWS_PER_GROUP", 8)
    monkeypatch.setattr(tokens, "tokenise_pairs", fails_on("t030"))
    pairs = publish(tmp_path / "pairs", "k", {"pairs": (PreferencePair, rows())}, {})
    with pytest.raises(UserError, match="pair t030"):
        tokens_stage(tmp_path, pairs, TINY, settings())
    (shards,) = (tmp_path / "tokens").glob(".*.shards")
    assert sorted(p.name for p in shards.iterdir()) == ["00000.arrow", "00001.arrow", "00002.arrow"]


def fails_on(pair_id: str) -> Any:
    def tokenise(pairs: list[PreferencePair], *rest: Any) -> Any:
        if any(p.pair_id == pair_id for p in pairs):
            raise UserError(f"pair {pair_id}")
        return tokenise_pairs(pairs, *rest)

    return tokenise


PROGRAM = """
import sys
from pathlib import Path
from iterpref import artifacts
from iterpref.data import tokens
from tests.masks.test_stage import TINY, settings
if __name__ == "__main__":
    pairs = artifacts.find(Path(sys.argv[1]) / "pairs", "k")
    print(tokens.tokens_stage(Path(sys.argv[2]), pairs, TINY, settings(full_share=0.5), workers=2).fingerprint)
"""


@pytest.mark.slow
def test_two_processes_give_the_same_bytes_also_after_kill_9_and_leave_with_their_parent(
    tmp_path: Path, pairs: Artifact
) -> None:
    alone = tokens_stage(tmp_path / "alone", pairs, TINY, settings(full_share=0.5), workers=1)
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, str(script), str(tmp_path), str(tmp_path / "two")]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    killed = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while (
        killed.poll() is None
        and time.monotonic() < deadline
        and not list((tmp_path / "two").glob("tokens/.*.shards/*.arrow"))
    ):
        time.sleep(0.01)
    children = _children(killed.pid)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (two,) = (p for p in (tmp_path / "two/tokens").iterdir() if p.name == alone.fingerprint)
    assert digest(Artifact(two, {})) == digest(alone)
    assert not [pid for pid in children if _alive(pid)]


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
