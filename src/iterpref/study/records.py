"""What jobs leave behind: where it lies, how it is read, and whether it is this study's.

OUT/records/NAME.json    what came out of a job, which is done when it is there
OUT/failures.jsonl       jobs that ended with an error, each time
FILE.jsonl.xz            all of that in one file (`pack.py`)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from iterpref.errors import UserError
from iterpref.study.plan import PHASES, Job, Study


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(value: Any) -> bool:
    try:
        return bool(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _are_scores(value: Any) -> bool:
    return _are_sections(value, "rates", "tasks") and all(
        _are_numbers(one["tasks"])
        and _are_sections(one["rates"])
        and _is_number(one["rates"].get("pass@1", {}).get("mean"))
        for one in value.values()
    )


def _are_sections(value: Any, *needed: str) -> bool:
    return isinstance(value, dict) and all(
        isinstance(one, dict) and all(isinstance(one.get(key), dict) for key in needed) for one in value.values()
    )


# What the tables and the schedule take from a record, and what it must be; the rest of it is for readers.
_FORM: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "phase", "arm"), lambda value: isinstance(value, str)),
    "seed": lambda value: isinstance(value, int), "lr": lambda value: value is None or _is_number(value),
    "settings": _are_texts, "gpus": _are_texts, "began": _is_time, "ended": _is_time, "seconds": _are_numbers,
    "benchmarks": _are_scores, "held_out": lambda value: _are_sections(value, "after"),
}  # fmt: skip
# The folders of an absolute path, wherever in a text it begins; no part of an address such as https://host/x.
_FOLDERS = re.compile(r"""(?<![\w./~-])/(?:[^\s/'"\\,:;()\[\]{}]+/)+""")
# Of a run's own record, what is true of one machine alone. `settings` says as much as the command, wherever the files lie.
_OF_A_MACHINE = {"run": ("command", "overrides", "cwd"), "data": ("folder",), "hardware": ("platform",)}


@dataclass(frozen=True)
class Stored:
    """Records by name, and failures (name, when, why) in the order in which they came."""

    place: Path
    records: Sequence[dict[str, Any]]
    failures: Sequence[dict[str, str]]


def record_file(out: Path, name: str) -> Path:
    return out / "records" / f"{name}.json"


def failures_file(out: Path) -> Path:
    return out / "failures.jsonl"


def is_done(job: Job, out: Path) -> bool:
    """Whether the job has its record; raises `UserError` where that is one of other settings."""
    file = record_file(out, job.name)
    if not file.is_file():
        return False
    made = read_record(file)["settings"]
    if made != list(job.settings):
        differ = " ".join(sorted(set(made) ^ set(job.settings)))
        raise UserError(
            f"{file} was made with other settings ({differ}): delete it, and the job runs again, or choose another --out"
        )
    return True


def read_record(file: Path) -> dict[str, Any]:
    """Not to be changed. Raises `UserError` for a file that holds no record."""
    try:
        state = file.stat()
        return _record_in(file, state.st_mtime_ns, state.st_size)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: no record of a job ({error}); delete it, and the job runs again") from None


@cache
def _record_in(file: Path, changed: int, size: int) -> dict[str, Any]:
    """A study looks at its records after each job: each is read once, and again where it was written anew."""
    return record_of(file.read_text(encoding="utf-8"))


def record_of(text: str) -> dict[str, Any]:
    """Raises `ValueError` for a text that is no record."""
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError(f"it is a {type(record).__name__}")
    if lacking := [key for key in _FORM if key not in record]:
        raise ValueError(f"it lacks {', '.join(lacking)}")
    if wrong := [key for key, is_well in _FORM.items() if not is_well(record[key])]:
        raise ValueError(f"its {', '.join(wrong)} cannot be what a job has written")
    return record


def records(out: Path) -> list[dict[str, Any]]:
    """All records of a study, by name."""
    return [read_record(file) for file in sorted((out / "records").glob("*.json"), key=lambda file: file.stem)]


def read_folder(out: Path) -> Stored:
    """Raises `UserError` for a damaged record, or a damaged line of the failures."""
    file, failures = failures_file(out), []
    for number, line in enumerate(file.read_bytes().splitlines() if file.is_file() else [], 1):
        try:
            failures.append(failure_of(json.loads(line.decode())))
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{file}:{number}: no failure of a job ({error!r}); delete the line") from None
    return Stored(out, records(out), failures)


def failure_of(told: dict[str, str]) -> dict[str, str]:
    """Its first line: what follows are the last lines of a log. Raises `TypeError` or `KeyError` for what is none."""
    found = {key: told[key] for key in ("name", "when", "why")}
    if not _are_texts(list(found.values())):
        raise TypeError("name, when and why are texts")
    return {**found, "why": str(portable(found["why"].partition("\n")[0]))}


def portable(value: Any) -> Any:
    """The same without what is true of one machine alone: an absolute path, wherever it stands in a text, becomes its last part."""
    if isinstance(value, str):
        return _FOLDERS.sub("", value)
    if isinstance(value, list):
        return [portable(one) for one in value]
    if isinstance(value, dict):
        return {
            key: portable(_less(one, _OF_A_MACHINE[key])) if key in _OF_A_MACHINE else portable(one)
            for key, one in value.items()
        }
    return value


def _less(value: Any, keys: Sequence[str]) -> Any:
    return {key: one for key, one in value.items() if key not in keys} if isinstance(value, dict) else value


def check_records(study: Study, stored: Stored) -> None:
    """Raises `UserError` unless each record is of a job of the study, and of no job that another has.

    Its settings must be those of the job, but for what all trainings have alike: that came from behind `--`. The rates of
    `main` and `variants` are the tuning's business.
    """
    jobs = {job.name: job for job in study.jobs(study.chosen(None), PHASES, dict.fromkeys(study.arms, 0.0))}
    trained = [set(record["settings"]) for record in stored.records if record["settings"]]
    common = set.intersection(*trained) if trained else set()
    seen = set[str]()
    for record in stored.records:
        name = record["name"]
        job = jobs.get(name)
        if job is None or (job.phase, job.arm, job.seed) != (record["phase"], record["arm"], record["seed"]):
            raise UserError(
                f"{stored.place}: {name} is of another study: this one has no such job ({record['phase']}, arm {record['arm']}); "
                "name the YAML file that it was made with, or take the record away"
            )
        if name in seen:
            raise UserError(f"{stored.place}: {name} has two records: take one of them away")
        seen.add(name)
        if differ := _differences(set(job.settings), set(record["settings"]), common):
            raise UserError(
                f"{stored.place}: {name} was made with other settings than the study has ({' '.join(differ)}): name the YAML "
                "file that it was made with, or take the record away and run the job again"
            )


def _differences(wanted: set[str], made: set[str], common: set[str]) -> list[str]:
    """Lines that only one of the two has, but for rates, and for what `common` says in another's place."""
    wanted, made, common = ({str(portable(line)) for line in lines} for lines in (wanted, made, common))
    said = {_key(line) for line in common} | {"optim.lr"}
    return sorted(
        [line for line in made - wanted - common if _key(line) not in said]
        + [line for line in wanted - made if _key(line) not in said]
    )


def _key(line: str) -> str:
    return line.partition("=")[0]
