"""The data set card of an export: YAML header, how the pairs were made, what was dropped, and what is in the columns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from iterpref.artifacts import Artifact
from iterpref.codeflow.statistic_tables import costs, tables
from iterpref.markdown import markdown_table
from iterpref.schema import SPLITS, Statistic

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LICENSES = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "unknown"}
COLUMNS = {
    "prompt": "the task", "chosen": "y+, the answer that passes", "rejected": "y-, an answer that fails",
    "pair_id, task_id": "names of the pair and of its task", "split, category": "the task's split (no task is in two) and kind",
    "chosen_iter, rejected_iter": "which version of the debugging history each answer is; -1: no history is known",
    "tests_sha256": "the frozen test suite that judged both; empty: none is known",
    "d_minus, d_plus": "0-based numbers of the lines of rejected and chosen outside their alignment (D-, D+)",
    "d_minus_spans, d_plus_spans": "the same as characters [start, end) of the answer",
    "diff_algo, empty_policy": "how D- and D+ were found, and what an empty D- means", "ast_equal": "whether the syntax trees are equal",
    "note": "what the generator says about the rejected version", "filters": "each rule with what it saw", "source": "where the pair comes from",
}  # fmt: skip


@dataclass
class Statistics:
    """Sums over the pairs, taken while they are written."""

    splits: Counter[str] = field(default_factory=Counter)
    tasks: set[str] = field(default_factory=set)
    characters: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    empty_d_minus: int = 0

    def add(self, table: pa.Table) -> None:
        self.splits.update(table["split"].to_pylist())
        self.tasks.update(table["task_id"].to_pylist())
        for name in ("prompt", "chosen", "rejected"):
            self.characters[name] += pc.sum(pc.utf8_length(table[name])).as_py() or 0
        for name in ("d_minus", "d_plus"):
            self.lines[name] += pc.sum(pc.list_value_length(table[name])).as_py() or 0
        self.empty_d_minus += pc.sum(pc.equal(pc.list_value_length(table["d_minus"]), 0)).as_py() or 0


def card(
    name: str, manifest: dict[str, Any], trajectories: Artifact | None, statistics: Statistics, conversational: bool,
    hub: str | None = None,
) -> str:  # fmt: skip
    """The text of README.md."""
    n = sum(statistics.splits.values())
    licenses = _licenses(trajectories)
    splits = [s for s in SPLITS if statistics.splits[s]]
    header = {
        "license": licenses[0] if len(licenses) == 1 else "other",
        "pretty_name": name,
        "task_categories": ["text-generation"],
        "tags": ["dpo", "trl", "code", "preference", "codeflow"],
        "size_categories": [next((text for limit, text in _SIZES if n < limit), "1M<n<10M")],
        "configs": [
            {"config_name": "default", "data_files": [{"split": s, "path": f"data/{s}.parquet"} for s in splits]}
        ],
    }
    parts = [
        f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---",
        f"# {name}",
        f"{n} preference pairs over {len(statistics.tasks)} tasks, written by IterPref {_version()}. Licence: {', '.join(licenses)}.",
        "## How to load",
        f"```python\nfrom datasets import load_dataset\n\npairs = load_dataset({json.dumps(hub) if hub else 'FOLDER'})  # TRL's DPOTrainer takes them as they are\n```",
        "## How it was made",
        _made(manifest, trajectories),
        "## Provenance and licences",
        _provenance(manifest, trajectories),
        "## What was dropped",
        markdown_table(("step", "count"), _funnel(manifest, trajectories)),
        "## Statistics",
        markdown_table(("", "value"), _figures(statistics, n)),
        *_histories(manifest, trajectories),
        "## Limitations",
        _limitations(manifest, trajectories),
        "## Columns",
        ("`prompt`, `chosen` and `rejected` are lists of `{role, content}`.\n\n" if conversational else "")
        + markdown_table(
            ("column", "what it holds"), [(f"`{k.replace(', ', '`, `')}`", v) for k, v in COLUMNS.items()]
        ),
        "## Citation",
        "The method (IterPref, later Target-DPO) is arXiv 2503.02783; please cite that paper for it.\n\n"
        "```bibtex\n@misc{iterpref2025,\n  title = {IterPref: Focal Preference Learning for Code Generation via Iterative Debugging},\n"
        "  year = {2025},\n  eprint = {2503.02783},\n  archivePrefix = {arXiv}\n}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _licenses(trajectories: Artifact | None) -> list[str]:
    if trajectories is None:
        return ["unknown"]  # of whoever wrote the pairs: their card says it
    names = pc.unique(trajectories.load("trajectories", ["license"])["license"]).to_pylist()
    return sorted({n.lower() if n.lower() in _LICENSES else n for n in names}) or ["unknown"]


def _provenance(manifest: dict[str, Any], trajectories: Artifact | None) -> str:
    """Whose tasks, whose programs, and the names under which the stages can be made again."""
    rows: list[tuple[str, Any]] = [("pairs", f"`{manifest['fingerprint']}`")]
    if trajectories is None:
        text = "Who wrote the pairs, and under which licence, is for their source to say; what is added here is Apache-2.0."
        return f"{text}\n\n{markdown_table(('stage', 'fingerprint'), rows)}"
    rows.insert(0, ("trajectories", f"`{trajectories.fingerprint}`"))
    generator = trajectories.manifest["config"]["generator"]
    for role, options in generator.items():
        if isinstance(options, dict) and options.get("model"):
            rows.append((role, f"`{options['model']}`"))
    table = trajectories.load("trajectories", ["source", "license", "task_id"])
    groups = table.group_by(["source", "license"]).aggregate([("task_id", "count_distinct")]).to_pylist()
    sources = sorted((g["source"], g["license"], g["task_id_count_distinct"]) for g in groups)
    whose = markdown_table(("tasks of", "licence", "tasks"), sources)
    words = (
        "The programs were written by the models named here, whose terms apply to what they write."
        if len(rows) > 2
        else "The programs are the tasks' own solutions with bugs put in; no model wrote any."
    )
    return f"{whose}\n\n{words}\n\n{markdown_table(('', ''), rows)}"


def _histories(manifest: dict[str, Any], trajectories: Artifact | None) -> Iterator[str]:
    """The debugging histories in tables, for those who have them."""
    if trajectories is None or not trajectories.table("statistics").is_file():
        return
    yield "### Debugging histories"
    if said := costs(trajectories.manifest["counts"], manifest["counts"]["pairs"]):
        yield said
    for table in tables(trajectories.read("statistics", Statistic)):
        yield f"**{table.title}**"
        head = ["", *(map(str, table.columns) if table.columns else ["trajectories"])]
        rows = [(_without_markup(value), *numbers) for value, numbers in table.rows]
        yield markdown_table(head, rows) + (f"\n\nand {table.left_out} rarer ones" if table.left_out else "")


def _without_markup(text: str) -> str:
    """A word of a model, as it may stand in our Markdown."""
    return " ".join(text.replace("<", "&lt;").split()) or "-"


def _limitations(manifest: dict[str, Any], trajectories: Artifact | None) -> str:
    if trajectories is None:
        points = [
            "No program of these pairs was run here: that the chosen answer is right and the other wrong is their author's word."
        ]
    else:
        made = trajectories.manifest["config"]
        points = [
            "A program that passes its tests is as right as its tests ask for; coverage says how far they reach, not how much they check.",
            "Verdicts hold for the limits of time and memory above: a program that was stopped may be right on a faster machine.",
        ]
        if made["generator"].get("name") == "mutate":
            points.append("Bugs that were put in are not those that models make.")
        else:
            points.append(
                "The programs are one model's, with its habits, its languages of thought and what it may remember of public code."
            )
        if manifest["config"]["pairs"].get("near_duplicate") is None:
            points.append("Near-duplicates were not looked for.")
    if not manifest["config"]["pairs"].get("contamination"):
        points.append("Tasks of public benchmarks were not looked for: measure their overlap before you report one.")
    points.append("D- says which lines changed, not that each of them was wrong.")
    return "\n".join(f"- {point}" for point in points)


def _made(manifest: dict[str, Any], trajectories: Artifact | None) -> str:
    rules = manifest["config"]["pairs"]
    located = (
        f"D- and D+ are the lines outside the alignment `{rules['diff']}`; an empty D- is treated as `{rules['empty_d_minus']}`. "
        f"At most {rules['max_d_minus_lines']} lines in D-; pairs that differ in comments alone "
        f"{'were dropped' if rules['drop_comment_only'] else 'were kept'}, those with equal syntax trees "
        f"{'were dropped' if rules['drop_ast_equal'] else 'were kept'}. Programs were parsed by {manifest['parsed_by']}."
    )
    if trajectories is None:
        source = manifest["source"]
        return f"The pairs were read from `{source['name']}` (sha256 `{source['sha256']}`). {located}"
    made = trajectories.manifest["config"]
    debug, limits = made["debug"], made["limits"]
    return (
        f"Each task was answered and debugged {debug['samples']} time(s) by the generator `{made['generator'].get('name', '?')}`, with at most "
        f"{debug['max_refinements']} refinements. y+ is the final version, y- a {rules['negative']} failing version before it. {located}\n\n"
        "**Verdicts.** A verdict comes from the test harness alone. Every version of a task ran on one frozen test suite, named by "
        f"its sha256, {debug['repeat']} time(s) (a version whose runs disagree is no y-), in the sandbox tier `{trajectories.manifest.get('tier', '?')}` "
        f"with {limits['wall_s']} s of wall clock, {limits['cpu_s']} s of CPU time and {limits['memory_mb']} MB. y+ passed all its tests; "
        "y- failed, raised, or went over a limit. Faults of the harness label nothing."
    )


def _funnel(manifest: dict[str, Any], trajectories: Artifact | None) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    counts = manifest["counts"]
    if trajectories is None:
        rows.append(("rows read", counts["rows"]))
    else:
        told = trajectories.manifest["counts"]
        rows.append(("tasks", told["problems"]))
        rows += [(f"dropped: {reason}", count) for reason, count in told["problems_dropped"].items()]
        rows.append(("trajectories", told["trajectories"]))
    rows += [(f"dropped: {reason}", count) for reason, count in counts["dropped"].items()]
    return [*rows, ("**pairs**", counts["pairs"])]


def _figures(statistics: Statistics, n: int) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = [(f"pairs, {split}", count) for split, count in sorted(statistics.splits.items())]
    rows += [
        (f"mean length of {name}, characters", f"{total / n:.0f}") for name, total in statistics.characters.items()
    ]
    rows += [(f"mean lines in {'D-' if name == 'd_minus' else 'D+'}", f"{total / n:.1f}") for name, total in statistics.lines.items()]  # fmt: skip
    return [*rows, ("pairs with an empty D-", statistics.empty_d_minus)]


def _version() -> str:
    from iterpref import __version__

    return __version__
