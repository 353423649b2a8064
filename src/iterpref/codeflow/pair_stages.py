"""The second stage: trajectories, or anyone's rows, -> preference pairs. Keyed by fingerprint, built once, re-used.

Rules on one pair alone are in `filters.py`; here are those that look at all of them.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from iterpref.artifacts import Artifact, building, find, fingerprint, publish
from iterpref.codeflow.contamination import Contamination, EvaluationTask
from iterpref.codeflow.external import prompt_key, read_pairs
from iterpref.codeflow.external.source import Source, open_source
from iterpref.codeflow.judge import Judge
from iterpref.codeflow.neardup import near_duplicates
from iterpref.codeflow.pairs import make_pairs
from iterpref.codeflow.sampling import by_sampling
from iterpref.codeflow.tally import Drop, DroppedPair, Tally
from iterpref.config import PairsConfig
from iterpref.errors import UserError
from iterpref.progress import track
from iterpref.schema import FilterResult, PreferencePair, Trajectory

log = logging.getLogger(__name__)
_HELD_OUT = {"train": 0, "validation": 1, "test": 2}


def pairs_stage(
    data: Path, trajectories: Artifact, config: PairsConfig, seed: int, judge: Judge | None = None,
    tasks: Sequence[EvaluationTask] = (),
) -> Artifact:  # fmt: skip
    """One pair from each solved trajectory that passes the filters, and `judge` at last; raises `UserError` when none is left."""
    opinion = [judge.fingerprint()] if judge else []
    key = fingerprint("pairs", trajectories.fingerprint, asdict(config), seed, [asdict(t) for t in tasks], *opinion)
    folder = data / "pairs"
    if done := find(folder, key):
        return done
    with building(folder, key):
        if done := find(folder, key):
            return done
        records: Iterable[Trajectory] = trajectories.iterate("trajectories", Trajectory)
        if config.by == "sampling":
            records = by_sampling(records, config.per_task, seed)
        pairs, tally = make_pairs(records, config, seed)
        total = trajectories.manifest["counts"]["trajectories"]
        pairs = rules_between(pairs, config, tasks, tally)
        if judge:
            pairs = judged_pairs(pairs, judge, key, tally)
        if not pairs:
            raise UserError(
                f"no preference pair came out of {total} trajectories ({tally.summary}): "
                "raise debug.samples or problems.limit, or loosen pairs.*"
            )
        manifest = {
            "trajectories": trajectories.fingerprint,
            "config": {"pairs": asdict(config), "seed": seed},
            "counts": {"trajectories": total},
        }
        return _publish(folder, key, pairs, tally, manifest)


def judged_pairs(pairs: Sequence[PreferencePair], judge: Judge, spender: str, tally: Tally) -> list[PreferencePair]:
    """The pairs that the judge lets pass, its word among their filters; the others go to `tally`."""
    kept: list[PreferencePair] = []
    for pair, opinion in zip(pairs, judge.opinions(pairs, spender), strict=True):
        if opinion.passed:
            kept.append(_noted(pair, "judge", opinion.detail))
        else:
            reason = "filter_judge" if opinion.passed is False else "judge_unreadable"
            tally.drop(pair.pair_id, Drop(reason, opinion.detail))
    return kept


def external_pairs_stage(
    data: Path, config: PairsConfig, judge: Judge | None = None, tasks: Sequence[EvaluationTask] = ()
) -> Artifact:
    """Anyone's pairs, localised and filtered; keyed by what the source holds. Raises `UserError` when none is left."""
    source = open_source(config, data / "hf_cache")
    options = {k: v for k, v in asdict(config).items() if k != "path"}
    opinion = [judge.fingerprint()] if judge else []
    key = fingerprint("external_pairs", source.name, source.key, options, [asdict(t) for t in tasks], *opinion)
    folder = data / "pairs"
    if done := find(folder, key):
        return done
    with building(folder, key):
        return find(folder, key) or _build_external(folder, key, source, config, judge, tasks)


def _build_external(
    folder: Path, key: str, source: Source, config: PairsConfig, judge: Judge | None, tasks: Sequence[EvaluationTask]
) -> Artifact:
    if source.ignored:
        log.warning("pairs.path=%s: split(s) %s are not read; pairs.splits.train=NAME (validation, test) chooses others",
                    config.path, ", ".join(source.ignored))  # fmt: skip
    tally = Tally()
    pairs = rules_between(list(read_pairs(source, config, tally)), config, tasks, tally)
    if judge:
        pairs = judged_pairs(pairs, judge, key, tally)
    tally.tell()
    if not pairs:
        raise UserError(
            f"pairs.path={config.path}: no preference pair is left of {tally.read} rows ({tally.summary or 'there are none'}); "
            "the rules are options of pairs.*, such as pairs.drop_ast_equal=false"
        )
    manifest = {
        "source": {"name": source.name, "sha256": source.key, "ignored_splits": list(source.ignored)},
        "config": {"pairs": asdict(config)},
        "counts": {"rows": tally.read},
    }
    return _publish(folder, key, pairs, tally, manifest)


def rules_between(
    pairs: Sequence[PreferencePair], config: PairsConfig, tasks: Sequence[EvaluationTask], tally: Tally
) -> list[PreferencePair]:
    """The pairs that pass the rules on more than one pair: no prompt in two splits, no evaluation task, no near-duplicate."""
    kept = _sift(pairs, _held_out_elsewhere(pairs), tally)
    if tasks:
        index = Contamination(tasks, config.contamination_ngram)
        overlaps = [index.measure(pair) for pair in track(kept, len(kept), "contamination")]
        holding = {i: Drop("filter_contamination", f"{o.share:.0%} of {o.task}")
                   for i, o in enumerate(overlaps) if o and o.share >= config.contamination_share}  # fmt: skip
        told = [_noted(p, "contamination", f"at most {o.share:.0%} of {o.task}" if o else "") for p, o in zip(kept, overlaps, strict=True)]  # fmt: skip
        kept = _sift(told, holding, tally)
    if config.near_duplicate is not None:
        similar = near_duplicates(kept, config.near_duplicate, config.near_duplicate_by)
        kept = _sift([_noted(p, "near_duplicate") for p in kept], similar, tally)
    return kept


def _sift(pairs: Sequence[PreferencePair], drops: dict[int, Drop], tally: Tally) -> list[PreferencePair]:
    for i, drop in drops.items():
        tally.drop(pairs[i].pair_id, drop)
    return [pair for i, pair in enumerate(pairs) if i not in drops]


def _noted(pair: PreferencePair, name: str, detail: str = "") -> PreferencePair:
    return replace(pair, filters=(*pair.filters, FilterResult(name, True, detail)))


def _held_out_elsewhere(pairs: Sequence[PreferencePair]) -> dict[int, Drop]:
    """Pairs whose prompt stands in a split that is further from training: test before validation before train."""
    home: dict[str, str] = {}
    for pair in pairs:
        prompt = prompt_key(pair.prompt)
        home[prompt] = max(home.get(prompt, "train"), pair.split, key=_HELD_OUT.__getitem__)
    return {
        i: Drop("prompt_in_held_out_split", f"{pair.split} pair, prompt of {home[prompt_key(pair.prompt)]}")
        for i, pair in enumerate(pairs)
        if home[prompt_key(pair.prompt)] != pair.split
    }


def _publish(
    folder: Path, key: str, pairs: Sequence[PreferencePair], tally: Tally, manifest: dict[str, Any]
) -> Artifact:
    counts = {
        **manifest["counts"],
        "pairs": len(pairs),
        "dropped": tally.counts,
        "splits": dict(sorted(Counter(p.split for p in pairs).items())),
        # What the rules saw and let pass, such as an answer that does not parse.
        "noted": dict(sorted(Counter(note for p in pairs for note in _notes(p)).items())),
    }
    # Which programs parse depends on the interpreter.
    made = {"stage": "pairs", "parsed_by": "Python {}.{}".format(*sys.version_info), **manifest, "counts": counts}
    return publish(folder, key, {"pairs": (PreferencePair, pairs), "dropped": (DroppedPair, tally.dropped)}, made)


def _notes(pair: PreferencePair) -> set[str]:
    found = set()
    for result in pair.filters:
        if result.name == "ast_equal" and "does not parse" in result.detail:
            found.add(("rejected" if result.detail.startswith("y-") else "chosen") + "_does_not_parse")
        elif result.detail.startswith("not applied"):
            found.add(f"{result.name}_not_applied")
    return found
