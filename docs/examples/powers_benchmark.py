"""A benchmark: one function a task, judged by calls whose expected values never enter the sandbox."""

from dataclasses import dataclass

from iterpref.codeflow.sandbox.protocol import FunctionCases, RunRequest
from iterpref.eval.answers import extract_code
from iterpref.eval.tasks.origin import Origin
from iterpref.eval.tasks.task import Benchmark, Task
from iterpref.registry import BENCHMARKS
from iterpref.schema import SourceFile


@dataclass(frozen=True)
class Power(Task):
    exponent: int = 1


class Powers(Benchmark[Power]):
    """Raise a number to a power, without `**`."""

    def request(self, task: Power, part: str, program: str) -> RunRequest:
        calls = tuple((n,) for n in range(-3, 4))
        cases = FunctionCases(calls, tuple(n**task.exponent for (n,) in calls), task.entry_point)
        return RunRequest((SourceFile("solution.py", program),), cases, self.limits(cpu_s=2.0))

    def chat(self, task: Power):
        return [{"role": "user", "content": task.prompt}], ""

    def solution(self, task: Power, answer: str, chat: bool) -> str:
        return extract_code(answer)


@BENCHMARKS.register("powers")
def powers(config) -> Powers:
    """Tasks by id; what the origin names must change when they do."""
    tasks = [
        Power(f"powers/{e}", f"Write power(n), which returns n to the power of {e}, without **.", "power", exponent=e)
        for e in (2, 3, 5)
    ]
    return Powers(config.name, Origin("powers", "version-1", "docs/examples"), tasks, config.time_factor)
