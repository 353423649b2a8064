"""A reader who leaves before the end, as `| head` does, ends a command quietly, and is mistaken for nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from iterpref.cli import run_task
from iterpref.output import READER_GONE

RUN = "from iterpref.cli import run_task\n"
WAYS = {
    "print": RUN + "run_task(lambda: print('x' * 100_000))",
    "a short print, which stays in the buffer": RUN + "run_task(lambda: print('x'))",
    "logging": RUN + "import logging, sys\n"
    "run_task(lambda: (logging.basicConfig(stream=sys.stdout), logging.warning('x'), print('not reached', file=sys.stderr)))",
    "a table of rich": RUN + "from rich.console import Console\nrun_task(lambda: Console().print('x y ' * 10_000))",
    "standard error": RUN + "import sys\nrun_task(lambda: print('x', file=sys.stderr))",
    "help": "import iterpref.study.__main__ as s\ns.main(['run', '--help'])",
    "Hydra's help": "import iterpref.prepare as p\np.main(['--help'])",
    "the doctor's help": "import iterpref.doctor as d\nd.main(['--help'])",
}


def told(program: str, to: Sequence[str]) -> tuple[int, str]:
    """Exit status, and what came out on the streams that are not in `to`, whose reader is gone."""
    read, write = os.pipe()
    os.close(read)
    streams = {name: write if name in to else subprocess.PIPE for name in ("stdout", "stderr")}
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([sys.executable, "-c", program], text=True, timeout=60, env=buffered, **streams)  # type: ignore[call-overload]
    os.close(write)
    return done.returncode, (done.stdout or "") + (done.stderr or "")


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_who_leaves_ends_the_command_quietly_whatever_wrote(way: str) -> None:
    to = ["stderr"] if way == "standard error" else ["stdout"]
    assert told(WAYS[way], to) == (READER_GONE, "")


def test_an_error_is_told_also_where_nobody_reads_what_was_printed_before() -> None:
    program = RUN + (
        "from iterpref.errors import UserError\n"
        "def task():\n    print('x')\n    raise UserError('mend this')\n"
        "run_task(task)"
    )
    assert told(program, ["stdout"]) == (2, "\niterpref: mend this\n")


def test_another_pipe_that_breaks_is_no_reader_of_ours() -> None:
    def task() -> None:
        read, write = os.pipe()
        os.close(read)
        try:
            os.write(write, b"to a program that has ended")
        finally:
            os.close(write)

    with pytest.raises(BrokenPipeError):
        run_task(task)


def test_a_process_without_standard_output_still_runs() -> None:
    program = "import sys\nsys.stdout = None\n" + RUN + "run_task(lambda: print('nowhere'))"
    assert told(program, []) == (0, "")
