"""Examples out of an Arrow table: the same numbers, views instead of copies, lengths without rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from iterpref.artifacts import Artifact, publish
from iterpref.config import Config
from iterpref.data import datamodule
from iterpref.data.examples import EXAMPLE_SCHEMA, ExampleTable, open_examples, to_table
from iterpref.data.stages import Prepared
from iterpref.schema import Example

Make = Callable[..., list[Example]]


@pytest.fixture(scope="module")
def stored(make_examples: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Example], ExampleTable]:
    examples = [*make_examples(7, 1), *make_examples(5, 2, split="test"), *make_examples(6, 3, split="validation")]
    folder = tmp_path_factory.mktemp("stored")
    groups = [to_table(examples[:4]), to_table(examples[4:])]
    artifact = publish(folder, "k", {"tokens": (EXAMPLE_SCHEMA, groups)}, {})
    return examples, open_examples(artifact.table("tokens"), folder / "cache")


def test_every_example_comes_back_with_its_types(stored: tuple[list[Example], ExampleTable]) -> None:
    examples, table = stored
    assert list(table) == examples
    assert {str(getattr(table[3], name).dtype) for name in ("prompt_ids", "chosen_ids", "rejected_ids")} == {"int32"}
    assert {str(getattr(table[3], name).dtype) for name in ("chosen_mask", "rejected_mask")} == {"float32"}
    assert table[3].chosen_ref_logps is None


def test_a_row_is_a_view_of_the_mapped_file_that_nobody_can_write(stored: tuple[list[Example], ExampleTable]) -> None:
    _, table = stored
    assert np.shares_memory(np.asarray(table[2].chosen_ids), np.asarray(table[2].chosen_ids))
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(table[2].chosen_mask)[0] = 0.5


def test_an_index_counts_from_the_end_and_beyond_it_is_an_error(stored: tuple[list[Example], ExampleTable]) -> None:
    examples, table = stored
    assert table[-1] == examples[-1]
    assert table[len(examples) - 1] == examples[-1]
    for index in (len(examples), -len(examples) - 1):
        with pytest.raises(IndexError):
            table[index]


def test_a_selection_shares_the_rows_and_keeps_the_order(stored: tuple[list[Example], ExampleTable]) -> None:
    examples, table = stored
    order = [11, 0, 11, 5]
    chosen = table.select(order)
    assert list(chosen) == [examples[i] for i in order]
    assert list(chosen.select([3, 0])) == [examples[5], examples[11]]
    assert list(chosen[1:3]) == [examples[0], examples[11]]
    assert np.shares_memory(np.asarray(chosen[1].chosen_ids), np.asarray(table[0].chosen_ids))
    assert list(table.select([])) == []


def test_lengths_ids_and_splits_are_known_without_reading_a_row(
    stored: tuple[list[Example], ExampleTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    examples, table = stored
    some = table.select([12, 3, 0])
    monkeypatch.setattr("iterpref.data.examples._views", lambda _: pytest.fail("a row was read"))
    expected = [examples[i] for i in (12, 3, 0)]
    assert some.prompt_lengths.tolist() == [len(e.prompt_ids) for e in expected]
    assert some.chosen_lengths.tolist() == [len(e.chosen_ids) for e in expected]
    assert some.rejected_lengths.tolist() == [len(e.rejected_ids) for e in expected]
    assert (some.pair_ids, some.splits) == ([e.pair_id for e in expected], [e.split for e in expected])


def test_no_example_makes_an_empty_table() -> None:
    table = to_table([])
    assert (table.num_rows, table.schema) == (0, EXAMPLE_SCHEMA)
    assert list(ExampleTable(table)) == []


def test_a_sliced_table_gives_its_own_rows(make_examples: Make) -> None:
    examples = make_examples(9)
    assert list(ExampleTable(to_table(examples).slice(2, 5))) == examples[2:7]
    assert list(ExampleTable(pa.concat_tables([to_table(examples[:3]), to_table(examples[3:])]))) == examples


def test_examples_are_equal_when_their_numbers_are(make_examples: Make) -> None:
    (example,) = make_examples(1)
    as_arrays = ExampleTable(to_table([example]))[0]
    assert as_arrays == example
    assert as_arrays != replace(example, chosen_ids=(*example.chosen_ids[:-1], 999))
    assert as_arrays != replace(example, chosen_ref_logps=(0.0,))
    assert as_arrays != "example"
    assert Example.from_dict(as_arrays.to_dict()) == example


def test_runs_of_several_seeds_share_a_sample_that_has_a_seed_of_its_own(
    stored: tuple[list[Example], ExampleTable], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(datamodule, "open_examples", lambda path, cache: stored[1])
    tokens = Artifact(tmp_path, {})
    tokens.table("tokens").touch()
    prepared = Prepared(Path(), None, tokens, tokens, Path())

    def chosen(seed: int, sample_seed: int | None) -> list[str]:
        config = Config(seed=seed)
        config.data.max_train_pairs, config.data.max_test_pairs, config.data.sample_seed = 3, 2, sample_seed
        return datamodule.read_examples(config, prepared).pair_ids

    own = [chosen(seed, None) for seed in range(4)]
    assert len({tuple(ids) for ids in own}) > 1
    assert [chosen(seed, 2) for seed in range(4)] == [own[2]] * 4
    assert len(own[2]) == 3 + 2 + 6
