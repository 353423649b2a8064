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
from iterpref.codeflow.external import Tally, prompt_key, read_pairs
from iterpref.codeflow.external.source import Source, open_source
from iterpref.codeflow.judge import Judge
from iterpref.codeflow.pairs import make_pairs
from iterpref.codeflow.sampling import by_sampling
from iterpref.config import PairsConfig
from iterpref.errors import UserError
from iterpref.schema import FilterResult, PreferencePair, Trajectory

log = logging.getLogger(__name__)
_HELD_OUT = {"train": 0, "validation": 1, "test": 2}


def pairs_stage(
    data: Path, trajectories: Artifact, config: PairsConfig, seed: int, judge: Judge | None = None
) -> Artifact:
    """One pair from each solved trajectory that passes the filters, and `judge` at last; raises `UserError` when none is left."""
    key = fingerprint(
        "pairs", trajectories.fingerprint, asdict(config), seed, *([judge.fingerprint()] if judge else [])
    )
    folder = data / "pairs"
    if done := find(folder, key):
        return done
    with building(folder, key):
        if done := find(folder, key):
            return done
        records: Iterable[Trajectory] = trajectories.iterate("trajectories", Trajectory)
        if config.by == "sampling":
            records = by_sampling(records, config.per_task, seed)
        pairs, drops = make_pairs(records, config, seed)
        total = trajectories.manifest["counts"]["trajectories"]
        if judge:
            pairs, judged = judged_pairs(pairs, judge, spender=key)
            drops = {**drops, **judged}
        if not pairs:
            raise UserError(
                f"no preference pair came out of {total} trajectories ({_reasons(drops)}): "
                "raise debug.samples or problems.limit, or loosen pairs.*"
            )
        manifest = {
            "trajectories": trajectories.fingerprint,
            "config": {"pairs": asdict(config), "seed": seed},
            "counts": {"trajectories": total, "dropped": drops},
        }
        return _publish(folder, key, pairs, manifest)


def judged_pairs(
    pairs: Sequence[PreferencePair], judge: Judge, spender: str
) -> tuple[list[PreferencePair], dict[str, int]]:
    """The pairs that the judge lets pass, its word among their filters; and how many it drops for what reason."""
    kept: list[PreferencePair] = []
    drops: Counter[str] = Counter()
    for pair, opinion in zip(pairs, judge.opinions(pairs, spender), strict=True):
        if opinion.passed:
            kept.append(replace(pair, filters=(*pair.filters, FilterResult("judge", True, opinion.detail))))
        else:
            drops["filter_judge" if opinion.passed is False else "judge_unreadable"] += 1
    return kept, dict(sorted(drops.items()))


def external_pairs_stage(data: Path, config: PairsConfig) -> Artifact:
    """Anyone's pairs, localised and filtered; keyed by what the source holds. Raises `UserError` when none is left."""
    source = open_source(config, data / "hf_cache")
    key = fingerprint(
        "external_pairs", source.name, source.key, {k: v for k, v in asdict(config).items() if k != "path"}
    )
    folder = data / "pairs"
    if done := find(folder, key):
        return done
    with building(folder, key):
        return find(folder, key) or _build_external(folder, key, source, config)


def _build_external(folder: Path, key: str, source: Source, config: PairsConfig) -> Artifact:
    if source.ignored:
        log.warning("pairs.path=%s: split(s) %s are not read; pairs.splits.train=NAME (validation, test) chooses others",
                    config.path, ", ".join(source.ignored))  # fmt: skip
    tally = Tally()
    pairs = _apart(list(read_pairs(source, config, tally)), tally)
    for reason, places in sorted(tally.places.items()):
        log.warning("dropped: %d by %s (first: %s)", tally.drops[reason], reason, "; ".join(places))
    if not pairs:
        raise UserError(
            f"pairs.path={config.path}: no preference pair is left of {tally.rows} rows ({_reasons(tally.drops) or 'there are none'}); "
            "the rules are options of pairs.*, such as pairs.drop_ast_equal=false"
        )
    manifest = {
        "source": {"name": source.name, "sha256": source.key, "ignored_splits": list(source.ignored)},
        "config": {"pairs": asdict(config)},
        "counts": {"rows": tally.rows, "dropped": dict(sorted(tally.drops.items()))},
    }
    return _publish(folder, key, pairs, manifest)


def _apart(pairs: Sequence[PreferencePair], tally: Tally) -> list[PreferencePair]:
    """Without the pairs whose prompt is held out elsewhere: test before validation before train."""
    home: dict[str, int] = {}
    for pair in pairs:
        prompt = prompt_key(pair.prompt)
        home[prompt] = max(home.get(prompt, 0), _HELD_OUT[pair.split])
    kept = []
    for pair in pairs:
        if _HELD_OUT[pair.split] < home[prompt_key(pair.prompt)]:
            tally.drop("prompt_in_held_out_split", pair.pair_id)
        else:
            kept.append(pair)
    return kept


def _publish(folder: Path, key: str, pairs: Sequence[PreferencePair], manifest: dict[str, Any]) -> Artifact:
    counts = {
        **manifest["counts"],
        "pairs": len(pairs),
        "splits": dict(sorted(Counter(p.split for p in pairs).items())),
    }
    # Which programs parse depends on the interpreter.
    made = {"stage": "pairs", "parsed_by": "Python {}.{}".format(*sys.version_info), **manifest, "counts": counts}
    return publish(folder, key, {"pairs": (PreferencePair, pairs)}, made)


def _reasons(drops: dict[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(drops.items()))
