"""Schema of the preference pairs: whose they are, which version is y-, how D- is found, and which pairs are dropped."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from iterpref.config.option import option, section
from iterpref.registry import LOCALISERS

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")  # of a data set on the hub: OWNER/NAME


@dataclass
class PairColumnsConfig:
    prompt: str | None = option(
        "prompt", "column of the prompt; null: it is the beginning that chosen and rejected share"
    )
    chosen: str = option("chosen", "column of the preferred answer")
    rejected: str = option("rejected", "column of the other answer")
    system: str | None = option(None, "column of what the system turn before the prompt says; null: none")


@dataclass
class PairSplitsConfig:
    train: str | None = option(None, "the data set's split to train on; null: train")
    validation: str | None = option(None, "its validation split; null: validation, valid, val or dev")
    test: str | None = option(None, "its held-out split; null: test")


@dataclass
class PairsConfig:
    source: str = option(
        "codeflow", "pairs out of debugging histories, or anyone's preference pairs", choices=("codeflow", "external")
    )
    path: str | None = option(None, "file, folder or hub id of preference pairs, for source=external")
    subset: str | None = option(None, "configuration of a hub data set, for source=external")
    revision: str | None = option(None, "hub revision, for source=external")
    columns: PairColumnsConfig = field(default_factory=PairColumnsConfig, metadata=section("names of the columns"))
    splits: PairSplitsConfig = field(default_factory=PairSplitsConfig, metadata=section("names of the splits"))
    validation_share: float = option(
        0.05, "share of the prompts held out for validation where the data set has no such split", low=0, high=1
    )
    test_share: float = option(
        0.05, "share of the prompts held out for the evaluation where the data set has no such split", low=0, high=1
    )
    bad_rows: str = option(
        "stop",
        "a row that is no pair (null, empty, wrong roles): stop and name it, or drop and count it",
        choices=("stop", "drop"),
    )
    negative: str = option("random", "which failing version is y- (paper: random)", choices=("random", "first", "last"))
    diff: str = option("lcs", "how the lines that differ are found", choices=LOCALISERS)
    empty_d_minus: str = option(
        "literal", "what an empty D- means: K- = 0, drop the pair, or blame the first token after the gap",
        choices=("literal", "drop", "anchor"),
    )  # fmt: skip
    max_d_minus_lines: int = option(20, "drop a pair whose D- has more lines (paper: 20)", low=1)
    drop_comment_only: bool = option(True, "drop a pair whose D- is only comments and blank lines (paper)")
    drop_ast_equal: bool = option(True, "drop a pair whose two versions have equal syntax trees (paper)")
    docstrings: str = option(
        "ignore", "a difference in docstrings alone: ignore it as the paper's judge does, or compare as syntax trees do",
        choices=("ignore", "compare"),
    )  # fmt: skip
    drop_unparsable_chosen: bool = option(
        False, "drop a pair whose y+ has Python that this interpreter cannot parse; else it is counted only"
    )
    by: str = option(
        "debugging", "y+ and y- are versions of one debugging history, or samples of one task (paper's table 7)",
        choices=("debugging", "sampling"),
    )  # fmt: skip
    per_task: int = option(1, "most pairs of one task, for by=sampling", low=1)
    judge: bool = option(
        False, "let a language model (generate.judge) drop pairs without a logical difference (paper); one call a pair"
    )
    max_characters: int = option(
        200_000, "drop a pair whose prompt, y+ or y- is longer before it is compared, characters", low=1
    )
    near_duplicate: float | None = option(
        None, "drop a pair whose task is at least so similar to an earlier one (Jaccard index of 5-token shingles); null: off",
        above=0, high=1,
    )  # fmt: skip
    near_duplicate_by: str = option(
        "either", "which texts must be similar", choices=("either", "prompt", "chosen", "both")
    )
    contamination: list[str] = option(
        [],
        "evaluation sets to keep out of the pairs: heldout (the run's own tasks), humaneval, bank (this project's test tasks), JSONL files",
    )
    contamination_ngram: int = option(10, "length of the n-grams that are compared, tokens", low=1)
    contamination_share: float = option(
        0.3, "drop a pair that holds at least this share of a task's n-grams", above=0, high=1
    )
