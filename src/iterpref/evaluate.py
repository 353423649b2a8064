"""How good is a model? Four questions, by what the command line holds:

python -m iterpref.evaluate RUN                                  held-out tasks and pairs, before and after training
python -m iterpref.evaluate RUN benchmark=humaneval              a benchmark, likewise; or of any model: model=pretrained ...
python -m iterpref.evaluate samples=FILE benchmark=humaneval     anybody's samples; no model is loaded
python -m iterpref.evaluate SCORES against=OTHER_SCORES          two scored models, task by task
"""

from __future__ import annotations

from typing import Any

from iterpref.cli import folder_argument, named_run, run_command
from iterpref.config import Config


def main(argv: list[str] | None = None) -> None:
    run_command("evaluate", evaluate, folder_argument(argv))


def evaluate(command: Config) -> dict[str, Any]:
    """The command: each way returns its figures. What runs no model imports no torch."""
    if command.samples is not None or command.against is not None:
        from iterpref.eval.scored import compare_folders, score_file

        return score_file(command) if command.samples is not None else compare_folders(command)
    if command.benchmark.name != "none":
        from iterpref.eval.benchmarked import evaluate_models

        return evaluate_models(command)
    from iterpref.run_record import read_trained

    read_trained(named_run(command, "evaluate"))  # before seconds of imports
    from iterpref.eval.held_out import evaluate_run

    return evaluate_run(command)


if __name__ == "__main__":
    main()
