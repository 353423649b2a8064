"""Scores as tables: one content for the terminal, Markdown, wandb and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iterpref.markdown import markdown_table


@dataclass(frozen=True)
class Sheet:
    """A table of texts."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        return f"**{self.title}**\n\n{markdown_table(self.columns, self.rows)}\n"


def show(sheets: Sequence[Sheet]) -> None:
    """Prints them on the terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for sheet in sheets:
        table = Table(title=sheet.title, title_justify="left")
        for i, column in enumerate(sheet.columns):
            table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table, markup=False)


def score_sheets(scores: Sequence[tuple[str, dict[str, Any]]]) -> list[Sheet]:
    """Tables of one or more scored things, such as `[("before", ...), ("after", ...)]`, of one benchmark."""
    first = scores[0][1]
    about = first["benchmark"]
    names = tuple(name for name, _ in scores)
    rates = [
        (f"{k}, {part}" if len(first["parts"]) > 1 else k, *(_interval(s, part, k) for _, s in scores))
        for part, values in first["parts"].items()
        for k in values
    ]
    rows = [
        *rates,
        ("tasks run", *(f"{s['n_tasks_run']} of {about['n_tasks']}" for _, s in scores)),
        ("samples", *(str(s["n_samples"]) for _, s in scores)),
    ]
    if any(s["n_missing"] for _, s in scores):
        rows.append(("tasks without a sample", *(str(s["n_missing"]) for _, s in scores)))
    if any(s["lacking"] for _, s in scores):
        rows.append(("failed samples that import what is absent here", *(_counts(s["lacking"], 6) for _, s in scores)))
    for part in first["parts"]:
        if any(part in s["published"] for _, s in scores):
            told = (s["published"].get(part) for _, s in scores)
            label = f"verdicts as published, {part}" if len(first["parts"]) > 1 else "verdicts as published"
            rows.append((label, *(f"{found['agree']} of {found['of']}" if found else "-" for found in told)))
    title = f"{about['name']}, {about['version']}, sha256 {about['sha256'][:12]}; 95 % intervals over tasks"
    sheets = [Sheet(title, ("", *names), tuple(rows)), _kinds("verdicts", scores), _kinds("errors", scores)]
    if any(s["not_run"] for _, s in scores):
        sheets.append(_kinds("not_run", scores))
    if differ := [
        (d["task_id"], part, "passed" if d["published"] else "failed", d["ours"])
        for _, s in scores
        for part, found in s["published"].items()
        for d in found["differ"]
    ]:
        sheets.append(
            Sheet("verdicts that are not the published ones", ("", "part", "published", "here"), tuple(differ))
        )
    return sheets


_TITLES = {
    "verdicts": "samples by verdict",
    "errors": "failed samples by kind of error (one may have several)",
    "not_run": "tasks that cannot be judged here, in no rate",
}


def _interval(scores: dict[str, Any], part: str, k: str) -> str:
    found = scores["parts"].get(part, {}).get(k)
    return f"{found['mean']:.1%} [{found['low']:.1%}, {found['high']:.1%}]" if found else "-"


def _kinds(key: str, scores: Sequence[tuple[str, dict[str, Any]]]) -> Sheet:
    """How many samples met each verdict, or each kind of error."""
    kinds = dict.fromkeys(kind for _, s in scores for kind in s[key])
    order = sorted(kinds, key=lambda kind: (-sum(s[key].get(kind, 0) for _, s in scores), kind))
    rows = tuple((kind, *(str(s[key].get(kind, 0)) for _, s in scores)) for kind in order)
    return Sheet(_TITLES[key], ("", *(name for name, _ in scores)), rows)


def _counts(counts: dict[str, int], shown: int) -> str:
    items = [f"{name} {n}" for name, n in list(counts.items())[:shown]]
    return ", ".join(items) + (f" and {len(counts) - shown} more" if len(counts) > shown else "")


def comparison_sheets(names: tuple[str, str], parts: dict[str, dict[str, Any]]) -> list[Sheet]:
    """The second of `names` against the first, part by part."""
    rows = [
        (
            part,
            str(found["n_tasks"]),
            f"{100 * found['difference']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]",
            str(found["gained"]),
            str(found["lost"]),
            f"{found['p_bootstrap']:.3g}",
            "-" if found["p_mcnemar"] is None else f"{found['p_mcnemar']:.3g}",
        )
        for part, found in parts.items()
    ]
    columns = ("part", "tasks", "difference, points [95 %]", "gained", "lost", "p, paired bootstrap", "p, McNemar")
    return [Sheet(f"{names[1]} against {names[0]}, task by task", columns, tuple(rows))]


def task_table(
    scored: Sequence[tuple[str, dict[str, Any]]], results: Sequence[Sequence[dict[str, Any]]]
) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of all samples of all that is scored: task, model, and of each part whether it passed, and why not."""
    parts = list(scored[0][1]["parts"])
    columns = ["task", "model", *(f"{part}: {what}" for part in parts for what in ("passed", "verdict", "detail"))]
    rows = []
    for (name, _), samples in zip(scored, results, strict=True):
        for sample in samples:
            told = (sample["parts"][part] for part in parts)
            cells = [
                cell for part in told for cell in (part["passed"], part.get("verdict", ""), part.get("detail", ""))
            ]
            rows.append([sample["task_id"], name, *cells])
    return columns, rows


def markdown(sheets: Sequence[Sheet]) -> str:
    return "\n".join(sheet.markdown() for sheet in sheets)
