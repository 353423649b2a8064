"""From text to token masks: pairs a second by stage, beside tokenising alone; the whole stage on one and two processes.

    python -m iterpref.bench.localise [--pairs 59000] [--sample 300] [--out docs/bench/localise.json]

`tokenise` is what nobody can do without: prompt, chosen and rejected through the tokenizer once, with offsets, in one call each.
Everything of ours is held against it, in the same process, all taking turns; the texts are functions of the running Python's
standard library with a few lines changed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from iterpref.artifacts import publish, records
from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.code_pairs import library_functions
from iterpref.bench.facts import machine_facts, peak_mib
from iterpref.cli import run_task
from iterpref.config import Config, DataConfig, MaskConfig
from iterpref.data.diff import localise
from iterpref.data.examples import EXAMPLE_SCHEMA, to_table
from iterpref.schema import Example, PreferencePair

ROUNDS = 25  # many and short: what else runs on the machine then meets all stages alike
_PROMPT = (
    "Write the following function of the Python standard library from memory. Answer with one fenced block of Python code and "
    "nothing else; keep the name, the arguments and their defaults, and raise what the original raises. "
)


def functions() -> list[str]:
    """Sources of functions as long as a task's program."""
    return [f"{source}\n" for _, source in library_functions(range(26, 57))]


def broken(code: str, rng: random.Random) -> str:
    """The code with one to three lines changed, taken away or written twice."""
    lines = code.split("\n")
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(1, len(lines) - 1)
        match rng.randrange(4):
            case 0:
                del lines[i]
            case 1:
                lines.insert(i, lines[rng.randrange(1, len(lines) - 1)])
            case _:
                lines[i] = lines[i].replace("=", "!=", 1) if "=" in lines[i] else lines[i] + " or None"
    return "\n".join(lines)


def texts(seed: int = 0) -> Iterator[tuple[str, str, str]]:
    """(prompt, chosen, rejected) without end, the same for the same seed and Python."""
    rng = random.Random(seed)
    sources = functions()
    while True:
        code = rng.choice(sources)
        prompt = _PROMPT * 2 + code.partition("\n")[0].strip()
        yield prompt, f"```python\n{code}```", f"```python\n{broken(code, rng)}```"


def pairs_of(rows: Iterator[tuple[str, str, str]]) -> Iterator[PreferencePair]:
    for i, (prompt, chosen, rejected) in enumerate(rows):
        found = localise(rejected, chosen)
        yield PreferencePair(
            f"bench/{i:06d}", "bench", "train", "", prompt, chosen, rejected, 1, 0, "", found.d_minus, found.d_plus,
            found.d_minus_spans, found.d_plus_spans, "lcs", "literal", False,
        )  # fmt: skip


class Stages:
    """The stages of one process on one sample, each on what the one before it made, and `tokenise` beside them."""

    def __init__(self, model: Path, sample: int, folder: Path) -> None:
        from iterpref.models.policy import load_tokenizer

        self.tokenizer, self.folder = load_tokenizer(model), folder
        self.rows = list(islice(texts(), sample))
        self.stored = publish(folder, "bench", {"pairs": (PreferencePair, pairs_of(iter(self.rows)))}, {}).table(
            "pairs"
        )
        self.groups: list[list[PreferencePair]] = []
        self.examples: list[list[Example]] = []

    def tokenise(self) -> int:
        """Tokens of the sample, as anyone would have them."""
        options = {"add_special_tokens": False, "return_offsets_mapping": True, "return_attention_mask": False}
        encoded = [self.tokenizer(list(column), **options) for column in zip(*self.rows, strict=True)]
        return sum(len(ids) for column in encoded for ids in column["input_ids"])

    def diff(self) -> None:
        for _, chosen, rejected in self.rows:
            localise(rejected, chosen)

    def read(self) -> None:
        with pq.ParquetFile(self.stored) as file:
            self.groups = [records(PreferencePair, file.read_row_group(i)) for i in range(file.num_row_groups)]

    def masks(self) -> None:
        from iterpref.data.masking import tokenise_pairs

        self.examples = [
            tokenise_pairs(group, [p.prompt for p in group], self.tokenizer, MaskConfig(), DataConfig())[0]
            for group in self.groups
        ]

    def write(self) -> None:
        with pq.ParquetWriter(self.folder / "tokens.parquet", EXAMPLE_SCHEMA) as writer:
            for made in self.examples:
                writer.write_table(to_table(made))


def by_stage(model: Path, sample: int) -> dict[str, Any]:
    """Microseconds of CPU time a pair in one process: median over rounds, each stage once a round."""
    with tempfile.TemporaryDirectory() as folder:
        made = Stages(model, sample, Path(folder))
        stages: dict[str, Callable[[], Any]] = {
            s.__name__: s for s in (made.tokenise, made.diff, made.read, made.masks, made.write)
        }
        seconds: dict[str, list[float]] = {name: [] for name in stages}
        for _ in range(ROUNDS + 1):
            for name, stage in stages.items():
                begin = time.process_time()
                stage()
                seconds[name].append(time.process_time() - begin)
        tokens = made.tokenise()
    rounds = range(1, ROUNDS + 1)  # the first one warms up
    ours = [sum(seconds[n][i] for n in stages if n != "tokenise") for i in rounds]
    # Other work on the machine only ever adds: the fastest round of each stage is the nearest to the stage itself.
    fastest = {n: min(seconds[n][1:]) for n in stages}
    ratios = [total / seconds["tokenise"][i] for total, i in zip(ours, rounds, strict=True)]
    return {
        "pairs": sample,
        "tokens_a_pair": round(tokens / sample, 1),
        "us_a_pair": {n: round(statistics.median(seconds[n][1:]) / sample * 1e6, 1) for n in stages},
        "tokenise_pairs_per_s": round(sample / statistics.median(seconds["tokenise"][1:])),
        "ours_pairs_per_s": round(sample / statistics.median(ours)),
        "ratio": {"median": round(statistics.median(ratios), 3), "lowest": round(min(ratios), 3), "highest": round(max(ratios), 3),
                  "of_fastest": round(sum(fastest.values()) / fastest["tokenise"] - 1, 3)},
        "us_a_pair_fastest": {n: round(s / sample * 1e6, 1) for n, s in fastest.items()},
    }  # fmt: skip


def whole_stage(model: Path, n: int, workers: int) -> dict[str, Any]:
    """The tokens stage over `n` stored pairs, in this process and its workers: seconds, and peak memory of either, MiB."""
    from iterpref.data.tokens import tokens_stage

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        pairs = publish(data / "pairs", "bench", {"pairs": (PreferencePair, pairs_of(islice(texts(), n)))}, {})
        config = Config()
        before = peak_mib(resource.RUSAGE_SELF)
        begin = time.perf_counter()
        tokens = tokens_stage(data, pairs, model, config, workers=workers)
        seconds = time.perf_counter() - begin
        size = tokens.table("tokens").stat().st_size
    return {
        "pairs": n, "workers": workers, "seconds": round(seconds, 1), "pairs_per_s": round(n / seconds),
        "peak_mib_before": before, "peak_mib": peak_mib(resource.RUSAGE_SELF),
        "peak_mib_worker": peak_mib(resource.RUSAGE_CHILDREN) if workers > 1 else None,
        "tokens": tokens.manifest["counts"]["tokens"], "dropped": tokens.manifest["counts"]["dropped"],
        "table_mib": round(size / 2**20, 1),
    }  # fmt: skip


def _apart(model: Path, n: int, workers: int) -> dict[str, Any]:
    """`whole_stage` in a process of its own, so that its peak memory is its own."""
    program = (
        "import json, sys; from pathlib import Path; from iterpref.bench.localise import whole_stage\n"
        "if __name__ == '__main__': print(json.dumps(whole_stage(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(model), str(n), str(workers)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: list[str] | None = None) -> None:
    from iterpref.models.source import resolve_model

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=at_least(0), default=59_000, help="pairs of the whole stage (0: leave it out)")
    parser.add_argument(
        "--sample", type=at_least(0), default=300, help="pairs of the comparison by stage (0: leave it out)"
    )
    parser.add_argument("--data", type=Path, default=Path("data_cache"), help="folder of converted models")
    parser.add_argument("--out", type=output_file, help="JSON file; what it holds of a part that is left out stays")
    arguments = parser.parse_args(argv)
    # A core is measured: the tokenizer's own threads would make it all of them.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    model = resolve_model(Config().model, arguments.data, 0)
    result: dict[str, Any] = {"machine": machine_facts(), "tokenizer": Config().model.name}
    if arguments.out and arguments.out.is_file():
        result = {**json.loads(arguments.out.read_text()), **result}
    if arguments.pairs:  # first: Linux begins a process's peak with that of the one that has started it
        sizes = [(arguments.pairs // 4, 1), (arguments.pairs // 4, 2), (arguments.pairs, 2)]
        result["whole"] = [_apart(model, n, workers) for n, workers in sizes]
    if arguments.sample:
        result["by_stage"] = by_stage(model, arguments.sample)
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
