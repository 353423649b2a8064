"""python -m iterpref.prepare: tasks are debugged by execution, the history becomes pairs, the wrong tokens are found."""

from __future__ import annotations

from typing import Any

from iterpref.cli import run_command
from iterpref.config import Config


def main(argv: list[str] | None = None) -> None:
    run_command("prepare", prepare_and_tell, argv)


def prepare_and_tell(config: Config) -> None:
    from iterpref.data.stages import prepare

    prepared = prepare(config)
    paired, tokenised = prepared.pairs.manifest["counts"], prepared.tokens.manifest["counts"]
    if prepared.trajectories:
        debugged = prepared.trajectories.manifest["counts"]
        rates = prepared.trajectories.manifest["pass_rate_by_iteration"]
        tell("tasks", debugged["problems"], debugged["problems_dropped"])
        tell("trajectories", debugged["trajectories"], debugged["status"])
        if refused := debugged.get("llm", {}).get("refused"):
            tell("unusable answers", sum(refused.values()), refused)
        tell("solved by iteration", ", ".join(f"{i}: {rate:.0%}" for i, rate in enumerate(rates)))
    else:
        tell("rows", f"{paired['rows']} in {config.pairs.path}")
    tell("pairs", paired["pairs"], paired["dropped"])
    tell("tokenised", tokenised["examples"], tokenised["dropped"])
    share = tokenised["focal_tokens_rejected"] / tokenised["tokens_rejected"]
    tell("blamed tokens", f"{share:.1%} of the rejected tokens")
    tell("splits", ", ".join(f"{split}: {count}" for split, count in tokenised["splits"].items()))
    tell("stored in", prepared.tokens.folder)


def tell(name: str, value: Any, details: dict[str, int] | None = None) -> None:
    extra = f"  ({', '.join(f'{k}: {v}' for k, v in details.items())})" if details else ""
    print(f"{name:<20} {value}{extra}")


if __name__ == "__main__":
    main()
