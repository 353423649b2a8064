"""The pages tell the truth where a machine can tell: links, commands, and the study's figures."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from tests.unit.test_study_tables import few_resamples

from iterpref.cli import check_overrides
from iterpref.config import SECTIONS
from iterpref.study.pack import stored_records
from iterpref.study.read import read_study
from iterpref.study.summary import summary

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ARMS = {
    "start model": "start", "SFT": "sft", "DPO": "dpo", "RPO": "rpo", "Target-DPO": "target_dpo", "Target-RPO": "target_rpo",
}  # fmt: skip

__all__ = ["few_resamples"]  # a fixture


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """Module and arguments of each command that stands on a line of its own."""
    found = []
    for module, rest in re.findall(
        r"^    python -m iterpref\.([\w.]+)(.*)$", page.read_text().replace("\\\n", " "), re.MULTILINE
    ):
        found.append((module, shlex.split(rest.partition(" #")[0])))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_names_options_and_choices_that_there_are(page: Path) -> None:
    for module, arguments in commands(page):
        if module not in SECTIONS:
            assert importlib.util.find_spec(f"iterpref.{module}") is not None, module
        elif "--config-dir" not in arguments:  # whose choices and names are not ours; tests/extending runs that one
            given = [a for a in arguments if "=" in a and not a.startswith("-")]
            check_overrides(module, [a for a in given if not a.startswith("pairs=")])  # PATH: short for two overrides


def test_there_are_commands_to_look_at() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 60


def tables(head: tuple[str, ...]) -> list[list[str]]:
    """Cells of the rows of the tables whose first columns have these heads."""
    blocks = re.findall(r"(?:^\|.*\n)+", (ROOT / "docs/reproduction.md").read_text(), re.MULTILINE)
    rows = [[[c.strip() for c in line.strip("|\n").split("|")] for line in block.splitlines()] for block in blocks]
    return [row for block in rows if tuple(block[0][: len(head)]) == head for row in block[2:]]


def test_the_main_tables_are_those_of_the_stored_records(tmp_path: Path) -> None:
    study = read_study(ROOT / "configs/study/main.yaml", None)
    records = stored_records(study, tmp_path, ROOT / "docs/study/main.jsonl.xz").records
    found = summary(study, records)
    arms, rates, at_one = found["arms"], found["by_lr"]["rates"]["mbpp_sampled"], found["at_one_rate"]["mbpp_sampled"]
    shown = tables(("arm", "learning rate"))
    assert {row[0] for row in shown} == set(ARMS)
    for name, rate, *cells, tenth in shown:
        arm = arms[ARMS[name]]
        assert not rate or float(rate) == arm["lr"]
        for cell, benchmark in zip(cells, ("mbpp_sampled", "mbpp", "humaneval_sampled", "humaneval"), strict=True):
            found = arm["benchmarks"][benchmark]
            spread = f" ± {100 * found['between_seeds']:.1f}" if found["between_seeds"] is not None else ""
            assert re.sub(r" \[.*\]", "", cell) == f"{100 * found['mean']:.1f}{spread}", (name, benchmark)
        assert tenth.split(" [")[0] == f"{100 * arm['benchmarks']['mbpp_sampled']['pass@10']['mean']:.1f}"
    for name, other, *cells in tables(("arm", "less")):
        against = arms[ARMS[name]]["against"][ARMS[other.split(" (")[0]]]
        for cell, benchmark in zip(cells, ("mbpp_sampled", "mbpp", "humaneval_sampled", "humaneval"), strict=True):
            assert cell.split(" [")[0] == f"{100 * against[benchmark]['difference']:+.1f}", (name, other, benchmark)
    for name, *cells in tables(("arm", "log-prob of y+")):
        for cell, (first, last) in zip(cells, arms[ARMS[name]]["likelihood"].values(), strict=True):
            assert [float(value) for value in cell.split(" to ")] == [round(first, 1), round(last, 1)], name
    for name, *cells in tables(("arm", "6e-7")):
        for cell, lr in zip(cells, study.tune.all_lrs, strict=True):
            arm = ARMS[name]
            if cell == "not run":
                assert lr not in rates[arm]
                continue
            level, less = cell.split(" [")[0].partition("; ")[::2]
            assert level == f"{100 * rates[arm][lr]['mean']:.1f}", (name, lr)
            if arm != "sft":
                assert less.split(" [")[0] == f"{100 * at_one[arm]['sft'][lr]['difference']:+.1f}", (name, lr)
    variants = {row[0].strip("`"): row[2:] for of in ("Target-RPO", "Target-DPO") for row in tables((f"of {of}",))}
    assert set(variants) == set(study.variants)
    for name, cells in variants.items():
        (against,) = arms[name]["against"].values()
        for cell, benchmark in zip(cells, ("mbpp_sampled", "mbpp", "humaneval_sampled"), strict=True):
            assert cell.split(" [")[0] == f"{100 * against[benchmark]['difference']:+.1f}", (name, benchmark)
