# ruff: noqa: PT009
"""The test process: puts up its walls, imports the task, does what `entries` says, and tells each event at once."""

from __future__ import annotations

import _sitebuiltins
import builtins
import gc
import marshal
import os
import signal
import socket
import struct
import sys
import unittest
from collections.abc import Callable, Collection

from . import confine, entries, wire, workplace
from .collector import Collector
from .describe import headline
from .lines import Coverage
from .modules import TaskFile, TaskImporter, install, pin
from .probe import Probe, harden_assertions
from .rehearsal import rehearse
from .seals import Seals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

    from .namespaces import Namespaces
    from .walls import Plain


class Canary(unittest.TestCase):
    """Must fail, through the same unittest and the same collector as the suite: it does so when every wrong assertion
    in it is found to be wrong."""

    def test_must_fail(self) -> None:
        found = 0
        for check, values in ((self.assertEqual, (1, 2)), (self.assertTrue, (False,)), (self.assertIn, (1, (2,)))):
            try:
                check(*values)
            except AssertionError:
                found += 1
        if found == 3:
            self.assertEqual(found, "a canary always fails")


LEAVE = os._exit
INTS = struct.Struct("4i")
ANCILLARY = socket.CMSG_SPACE(INTS.size)


class Judge:
    """What decides about a program, made and sealed once in the zygote, before any program is seen.

    `own_memory_mb`: the zygote's address space. `at_start`: modules that a task's own files may not stand in for.
    `fork_handlers`: what the preloaded modules want done when the program forks.
    """

    def __init__(
        self,
        walls: Plain | Namespaces,
        own_memory_mb: int,
        at_start: Collection[str],
        fork_handlers: list[dict[str, Any]],
    ) -> None:
        self._walls, self._own_memory_mb, self._at_start = walls, own_memory_mb, at_start
        self._fork_handlers = fork_handlers
        self._probe = Probe()
        harden_assertions(self._probe)
        sys.argv[:] = [""]
        # `site` is not loaded, and a program may well say exit() or help().
        for name in ("exit", "quit"):
            setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
        builtins.help = _sitebuiltins._Helper()
        self._seals = Seals([Collector, Probe, Seals, Canary])
        self._canaries = entries.LOAD(Canary)
        self.n_canaries = self._canaries.countTestCases()

    def settle(self, preload: Collection[str], warm: bool) -> None:
        """In the zygote, once, last of all; `warm`: after a rehearsal."""
        if warm:
            rehearse(preload, self._seals, self._probe, Canary, self._at_start)
        self._seals.take_images()

    def prepare(self, tasks: socket.socket) -> Callable[[], None]:
        """In the test process: waits for a task and puts up the walls; the returned function runs the task and ends
        the process."""
        os.setsid()
        os.umask(0o077)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as every Python has it
        for handlers in self._fork_handlers:
            os.register_at_fork(**handlers)
        pin("tempfile")
        # The task's file, standard output and error, and the events' pipe.
        command, passed, _, _ = tasks.recvmsg(1, ANCILLARY)
        if command != wire.RUN:
            os._exit(0)
        os.close(tasks.detach())
        descriptors = INTS.unpack(passed[0][2])
        try:
            return self._prepare(descriptors)
        except BaseException as error:
            os.write(descriptors[2], f"walls: {error!r}".encode())
            os._exit(3)

    def _prepare(self, descriptors: tuple[int, ...]) -> Callable[[], None]:
        data = wire.read_file(descriptors[0])
        token, config = data[: wire.TOKEN_BYTES], marshal.loads(data[wire.TOKEN_BYTES :])
        folder = self._walls.furnish(config)
        work = f"{folder}/work"
        workplace.write_files(work, config["files"], config["uid"])
        emit = wire.make_emit(confine.take_descriptors(workplace.stdin(config["stdin"]), *descriptors[1:]), token)
        os.chdir(work)
        if os.environ.get("HOME") != work:
            os.environ.update(HOME=work, TMPDIR=f"{folder}/tmp")
        confine.set_limits(config, self._own_memory_mb, self._walls.process_limit(config))
        self._walls.confine(config)
        files = [TaskFile(work, *file) for file in config["files"] if file[0].endswith(".py")]
        tests = [file for file in files if file.is_test]
        self._probe.arm([file.label for file in tests], any("ANY" in file.text for file in tests))
        sources = {file.label: (file.name, file.text) for file in files}
        coverage = Coverage() if config["coverage"] else None
        task = entries.Task(
            files=files,
            emit=emit,
            collector=Collector(emit, sources, self._seals, long_names=len(tests) > 1),
            seals=self._seals,
            probe=self._probe,
            canaries=self._canaries,
            coverage=coverage,
        )
        at_start = self._at_start

        def begin() -> None:
            gc.enable()
            emit(wire.READY)
            codes = compile_all(files, coverage, emit)
            install(TaskImporter(work, files, codes, task.probe), files, work, at_start)
            entries.ENTRIES[config["entry"]["kind"]](task, codes, config["entry"])

        return begin


def compile_all(files: list[TaskFile], coverage: Coverage | None, emit: Callable[..., None]) -> dict[str, CodeType]:
    """Code objects by path; ends the process at the first file that is not Python."""
    codes = {}
    for file in files:
        try:
            codes[file.path] = file.compile(coverage)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            emit(wire.COMPILE, f"{file.name}: {headline(error)}")
            LEAVE(0)
    return codes
