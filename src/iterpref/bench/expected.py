"""Known exceptions of the benchmarks, each looked at: (benchmark, question, task) -> reason."""

EXPECTED: dict[tuple[str, str, str], str] = {}
