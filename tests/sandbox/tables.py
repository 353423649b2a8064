"""All programs in one table, and one way to run them: for pytest, and for a process of another user."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping

from iterpref.codeflow.sandbox import tiers
from iterpref.codeflow.sandbox.pool import PooledSandbox

from . import programs_cheating, programs_escaping, programs_limits, programs_ordinary
from .build import Program, Row, mismatch, rows
from .deviations import deviations
from .planted import planted

TIERS = ("namespaces", "landlock", "plain", "bwrap")
PROGRAMS: dict[str, Program] = {
    name: program
    for module in (programs_ordinary, programs_cheating, programs_escaping, programs_limits)
    for table in vars(module).values()
    if isinstance(table, dict)
    for name, program in table.items()
    if isinstance(program, Program)
}
NAMES = [f"{name}/{kind}" for name, program in PROGRAMS.items() for kind in program.kinds]
# Forms of tests are the supervisor's affair, whoever runs it and whatever the walls are: one of each program is enough there.
ONE_FORM = [f"{name}/{program.kinds[0]}" for name, program in PROGRAMS.items()]


def run_all(tier: str, wanted: Collection[str]) -> dict[str, str]:
    """Name of a wanted row -> "" if its result is right, else what is wrong; rows that promise nothing are absent."""
    with planted() as names:
        table = {k: row for k, row in _with_deviations(rows(PROGRAMS, names), tier).items() if k in wanted}
        sandbox = PooledSandbox(workers=2, tier=tier, allow_unsafe=True)
        try:
            results = sandbox.run_many(row.request for row in table.values())
            return {
                name: mismatch(result, row.want) for (name, row), result in zip(table.items(), results, strict=True)
            }
        finally:
            sandbox.close()


def _with_deviations(table: Mapping[str, Row], tier: str) -> dict[str, Row]:
    known = deviations(tier)
    found = {}
    for name, row in table.items():
        want = known.get(name, known.get(name.partition("/")[0], row.want))
        if want is not None:
            found[name] = Row(row.request, want)
    return found


def main() -> None:
    """Prints JSON: the user, and for each tier its mismatches, or the reason why it does not work."""
    told = {}
    for tier in sys.argv[1:]:
        probe = tiers.probe(tier)
        told[tier] = (
            {k: v for k, v in run_all(tier, ONE_FORM).items() if v} if probe.works else {"absent": probe.reason}
        )
    print(json.dumps(told))


if __name__ == "__main__":
    main()
