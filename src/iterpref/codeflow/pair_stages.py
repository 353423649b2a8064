"""The second stage: trajectories, or anyone's rows, -> preference pairs. Keyed by fingerprint, built once, re-used.

    records -> one pair each, or a drop -> spool -> rules between pairs (`pair_rules.py`) -> judge -> pairs.parquet, dropped.parquet

Rules on one pair alone are in `filters.py`. Pairs pass by a few hundred at a time, whatever their number.
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from iterpref.artifacts import Artifact, building, find, fingerprint, publish
from iterpref.codeflow import external
from iterpref.codeflow.contamination import EvaluationTask
from iterpref.codeflow.external import read_pairs
from iterpref.codeflow.external.source import open_source
from iterpref.codeflow.generate.replay import NOT_IN_CACHE
from iterpref.codeflow.judge import Judge
from iterpref.codeflow.pair_rules import Sieve, rules_between, with_note
from iterpref.codeflow.pairs import make_pairs
from iterpref.codeflow.sampling import by_sampling
from iterpref.codeflow.spool import Spool
from iterpref.codeflow.tally import Drop, DroppedPair, Tally
from iterpref.config import PairsConfig
from iterpref.errors import UserError
from iterpref.progress import track
from iterpref.registry import LOCALISERS, added_sources
from iterpref.schema import PreferencePair, Trajectory

log = logging.getLogger(__name__)
Make = Callable[[Tally], Iterable[PreferencePair]]
# What lets pairs pass that were dropped for a reason.
_REMEDIES = {
    "bad_row": "pairs.bad_rows=stop names the first fault", "filter_ast_equal": "pairs.drop_ast_equal=false keeps them",
    "filter_comment_only": "pairs.drop_comment_only=false keeps them", "filter_docstring_only": "pairs.drop_comment_only=false keeps them",
    "filter_d_minus_lines": "raise pairs.max_d_minus_lines", "filter_max_characters": "raise pairs.max_characters",
    "filter_chosen_parses": "pairs.drop_unparsable_chosen=false keeps them", "filter_empty_d_minus": "pairs.empty_d_minus=literal keeps them",
    "filter_contamination": "raise pairs.contamination_share", "filter_near_duplicate": "raise pairs.near_duplicate",
    "filter_identical": "chosen and rejected say the same: are pairs.columns.chosen and rejected those that were meant?",
    "more_than_text": "texts alone can be used", "answer_over_several_turns": "one turn of either side must be all that differs",
}  # fmt: skip


def pairs_stage(
    data: Path, trajectories: Artifact, config: PairsConfig, seed: int, judge: Judge | None = None,
    tasks: Sequence[EvaluationTask] = (),
) -> Artifact:  # fmt: skip
    """One pair from each solved trajectory that passes the filters, and `judge` at last; raises `UserError` when none is left."""
    opinion = [judge.fingerprint()] if judge else []
    added = added_sources(diff=(LOCALISERS, config.diff))
    key = fingerprint(
        "pairs",
        trajectories.fingerprint,
        asdict(config),
        seed,
        [asdict(t) for t in tasks],
        *opinion,
        *([added] if added else []),
    )
    total = trajectories.manifest["counts"]["trajectories"]

    def make(tally: Tally) -> Iterator[PreferencePair]:
        records: Iterable[Trajectory] = track(trajectories.iterate("trajectories", Trajectory), total, "pairs")
        if config.by == "sampling":
            records = by_sampling(records, config.per_task, seed)
        return make_pairs(records, config, seed, tally)

    def manifest(tally: Tally, n_pairs: int) -> dict[str, Any]:
        if not n_pairs:
            tally.tell()
            raise UserError(
                f"no preference pair came out of {total} trajectories ({tally.summary}){_without_pairs(trajectories)}"
            )
        return {
            "trajectories": trajectories.fingerprint,
            "config": {"pairs": asdict(config), "seed": seed},
            "counts": {"trajectories": total},
        }

    return _built(data / "pairs", key, make, manifest, config, judge, tasks)


def _without_pairs(trajectories: Artifact) -> str:
    """What to change, and which answers of a model no program could be read from."""
    refused = trajectories.manifest["counts"].get("llm", {}).get("refused", {})
    if not refused:
        return ": raise debug.samples or problems.limit, or loosen pairs.*"
    reasons = ", ".join(f"{reason}: {count}" for reason, count in refused.items())
    if NOT_IN_CACHE in refused:
        remedy = "give generate.model, its options and its prompts as they were when the cache was made, or ask with generate=openai"
    else:
        longer = "raise generate.max_tokens, " if "answer_cut" in refused else ""
        remedy = f"{longer}raise debug.samples, generate.answer_retries or problems.limit, ask another generate.model, or loosen pairs.*"
    return f"; answers without a program ({reasons}): {remedy}"


def external_pairs_stage(data: Path, config: PairsConfig, tasks: Sequence[EvaluationTask] = ()) -> Artifact:
    """Anyone's pairs, localised and filtered; keyed by what the source holds. Raises `UserError` when none is left."""
    source = open_source(config, data / "hf_cache")
    options = {k: v for k, v in asdict(config).items() if k != "path"}
    added = added_sources(diff=(LOCALISERS, config.diff))
    key = fingerprint(
        "external_pairs",
        external.VERSION,
        source.name,
        source.key,
        options,
        [asdict(t) for t in tasks],
        *([added] if added else []),
    )

    def make(tally: Tally) -> Iterator[PreferencePair]:
        if source.ignored:
            log.warning("pairs.path=%s: split(s) %s are not read; pairs.splits.train=NAME (validation, test) chooses others",
                        config.path, ", ".join(source.ignored))  # fmt: skip
        if source.unread:
            log.warning("pairs.path=%s: datasets finds the data by the names and the format of files and passes over %s; "
                        "rename them (train-1, train-2, ...), list them in README.md, or give one file",
                        config.path, ", ".join(source.unread[:5]) + " ..." * (len(source.unread) > 5))  # fmt: skip
        return read_pairs(source, config, tally)

    def manifest(tally: Tally, n_pairs: int) -> dict[str, Any]:
        tally.tell()
        if not n_pairs:
            reason = max(tally.counts, key=tally.counts.__getitem__, default="")
            remedy = f" Most fell to {reason}: {_REMEDIES[reason]}" if reason in _REMEDIES else ""
            raise UserError(
                f"pairs.path={config.path}: no preference pair is left of {tally.read} rows ({tally.summary or 'there are none'}).{remedy}"
            )
        return {
            "source": {"name": source.name, "sha256": source.key, "ignored_splits": list(source.ignored)},
            "config": {"pairs": asdict(config)},
            "counts": {"rows": tally.read},
        }

    return _built(data / "pairs", key, make, manifest, config, None, tasks)


def _built(
    folder: Path, key: str, make: Make, manifest: Callable[[Tally, int], dict[str, Any]], config: PairsConfig,
    judge: Judge | None, tasks: Sequence[EvaluationTask],
) -> Artifact:  # fmt: skip
    """The finished stage: found, or made by one process."""
    if done := find(folder, key):
        return done
    with building(folder, key):
        if done := find(folder, key):
            return done
        work = folder / f".{key}.work"
        shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
        try:
            return _build(folder, key, work, make, manifest, config, judge, tasks)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _build(
    folder: Path, key: str, work: Path, make: Make, manifest: Callable[[Tally, int], dict[str, Any]], config: PairsConfig,
    judge: Judge | None, tasks: Sequence[EvaluationTask],
) -> Artifact:  # fmt: skip
    with Spool(work / "pairs.arrow", PreferencePair) as pairs, Spool(work / "dropped.arrow", DroppedPair) as dropped:
        tally = Tally(dropped.add)
        for pair in make(tally):
            pairs.add(pair)
        sieve = rules_between(pairs.finish(), config, tasks, tally, work)
        kept = judged(sieve, judge, key, tally) if judge else sieve.tables()
        counts = _Counts()

        def told() -> dict[str, Any]:
            made = manifest(tally, counts.pairs)
            # Which programs parse depends on the interpreter.
            python = "Python {}.{}".format(*sys.version_info)
            every = {**made["counts"], "dropped": tally.counts, **counts.as_dict()}
            return {"stage": "pairs", "parsed_by": python, **made, "counts": every}

        def drops() -> Iterator[pa.Table]:  # begins when all pairs are written, and the judge has dropped the last
            yield from dropped.finish().tables()

        return publish(
            folder, key, {"pairs": (pairs.schema, map(counts.see, kept)), "dropped": (dropped.schema, drops())}, told
        )


def judged(sieve: Sieve, judge: Judge, spender: str, tally: Tally) -> Iterator[pa.Table]:
    """The pairs that the judge lets pass, its word among their filters; the others go to `tally`."""
    asked = ((str(rejected), str(chosen)) for _, (rejected, chosen) in sieve.rows("rejected", "chosen"))
    with closing(judge.opinions(asked, int(sieve.kept.sum()), spender)) as opinions:
        for table in sieve.tables():
            kept, words = [], []
            for i, pair_id in enumerate(table["pair_id"].to_pylist()):
                opinion = next(opinions)
                if opinion.passed:
                    kept.append(i)
                    words.append(opinion.detail)
                else:
                    reason = "filter_judge" if opinion.passed is False else "judge_unreadable"
                    tally.drop(pair_id, Drop(reason, opinion.detail))
            if kept:
                yield with_note(table.take(pa.array(kept)), "judge", words)
        next(opinions, None)  # raises what kept pairs from being judged


class _Counts:
    """Of the pairs that are kept, taken while they are written."""

    def __init__(self) -> None:
        self.pairs = 0
        self._splits: Counter[str] = Counter()
        self._noted: Counter[str] = Counter()

    def see(self, table: pa.Table) -> pa.Table:
        self.pairs += table.num_rows
        self._splits.update(table["split"].to_pylist())
        for filters in table["filters"].to_pylist():
            self._noted.update({note for result in filters if (note := _note(result))})
        return table

    def as_dict(self) -> dict[str, Any]:
        return {
            "pairs": self.pairs,
            "splits": dict(sorted(self._splits.items())),
            # What the rules saw and let pass, such as an answer that does not parse.
            "noted": dict(sorted(self._noted.items())),
        }


def _note(result: dict[str, Any]) -> str:
    if result["name"] == "ast_equal" and "does not parse" in result["detail"]:
        return ("rejected" if result["detail"].startswith("y-") else "chosen") + "_does_not_parse"
    return f"{result['name']}_not_applied" if result["detail"].startswith("not applied") else ""
