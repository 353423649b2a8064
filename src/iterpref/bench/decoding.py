"""What does a token of an answer take on a GPU, and what of it the kernels for answers?

    python -m iterpref.bench.decoding --model DIR [--rows 8 512 2048] [--tokens 128] [--json FILE]

First the attention of one token, ours beside SDPA as transformers calls it, and the least that reading what counts takes.
Then answers of a model in bf16, greedy and sampled, to prompts of many lengths: milliseconds for a token of all rows,
prompts included, with the kernels for answers and with the model's own code, each the second of two turns.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from iterpref.bench.arguments import at_least, output_file
from iterpref.bench.facts import machine_facts, package_version
from iterpref.bench.timing import copy_bandwidth, median_times
from iterpref.cli import run_task
from iterpref.config import ModelConfig
from iterpref.models import recorded
from iterpref.models.generation import generate
from iterpref.models.policy import load_model, load_tokenizer
from iterpref.models.sampling import GREEDY, Sampling

# Rows, heads, heads of keys, tokens, numbers in a head: of SmolLM2-135M's answers, of Qwen2.5-7B's, and few rows.
SHAPES = ((2048, 9, 3, 384, 64), (256, 28, 4, 1024, 128), (16, 9, 3, 512, 64))
SAMPLINGS = {"greedy": GREEDY, "sampled": Sampling(0.8), "top-p 0.95": Sampling(0.8, 0.95)}


def attention(shape: tuple[int, int, int, int, int], rounds: int, bandwidth: float) -> dict[str, Any]:
    """Microseconds of one token's attention of all rows. Rows begin within the first third, and have 50 places behind."""
    from iterpref.ops.attention import attend_one

    rows, heads, key_heads, tokens, size = shape
    g = torch.Generator("cuda").manual_seed(0)
    bf16: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16}
    # Views into larger room, as of answers that have not ended.
    keys, values = torch.randn(2, rows, key_heads, tokens + 128, size, generator=g, **bf16)[:, :, :, :tokens]
    query = torch.randn(rows, heads, size, generator=g, **bf16)
    bias = torch.full((rows, tokens), recorded.HIDDEN, **bf16)
    for row in range(rows):
        bias[row, row * 7919 % (tokens // 3) : tokens - 50] = 0
    module: Any = SimpleNamespace(num_key_value_groups=heads // key_heads, is_causal=True)

    def plain() -> Any:
        return sdpa_attention_forward(module, query[:, :, None], keys, values, bias[:, None, None], scaling=size**-0.5)

    theirs, ours = median_times([plain, lambda: attend_one(query, keys, values, bias, size**-0.5)], rounds)
    read = 4 * key_heads * size * int((bias == 0).sum())  # keys and values, two bytes a number
    return {
        "rows, heads, key heads, tokens, size": shape, "sdpa_us": 1e3 * theirs, "ours_us": 1e3 * ours,
        "least_us": 1e6 * read / bandwidth,
    }  # fmt: skip


class OwnCode:
    """In the place of `AnswerKernels`: none."""

    def __init__(self, model: Any) -> None:
        pass

    @contextmanager
    def in_use(self) -> Iterator[None]:
        yield


def answers(model: Any, tokenizer: Any, rows: int, tokens: int) -> Iterator[dict[str, Any]]:
    """Of `rows` prompts of 30 to 240 tokens, all at once."""
    chats = [[{"role": "user", "content": f"Write function {i} that" + " adds" * (i % 200)}] for i in range(rows)]
    prompts = [tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) for c in chats]
    for name, sampling in SAMPLINGS.items():
        row: dict[str, Any] = {"rows": rows, "tokens": tokens, "drawn": name}
        for way, swap in (
            ("ours_ms", nullcontext()),
            ("own_code_ms", patch.object(recorded, "AnswerKernels", OwnCode)),
        ):
            # The second counts: the first compiles kernels. Each records the graphs of its lengths, which are part of it.
            for _ in range(2):
                torch.cuda.synchronize()
                begin = time.perf_counter()
                with swap:
                    generate(
                        model, tokenizer, prompts, max_new_tokens=tokens, batch_size=rows, sampling=sampling, progress=False
                    )  # fmt: skip
                torch.cuda.synchronize()
            row[way] = 1e3 * (time.perf_counter() - begin) / tokens
        yield row


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of a model that answers; without one: attention alone")
    parser.add_argument("--rows", type=at_least(1), nargs="+", default=[8, 512, 2048], help="prompts answered at once")
    parser.add_argument("--tokens", type=at_least(1), default=128, help="longest answer")
    parser.add_argument("--rounds", type=at_least(1), default=50, help="timed calls of attention")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the figures to this file")
    a = parser.parse_args(argv)
    if not torch.cuda.is_available():
        parser.error("this bench needs a GPU")
    facts = {**machine_facts(), "gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
    report: dict[str, Any] = {"facts": {**facts, "transformers": package_version("transformers")}, "attention": [], "answers": []}  # fmt: skip
    bandwidth = copy_bandwidth(10)
    for shape in SHAPES:
        report["attention"].append(attention(shape, a.rounds, bandwidth))
        print(_line(report["attention"][-1]), flush=True)
    if a.model is not None:
        model = load_model(a.model, ModelConfig()).to("cuda", torch.bfloat16).eval()
        tokenizer = load_tokenizer(a.model)
        for rows in a.rows:
            for row in answers(model, tokenizer, rows, a.tokens):
                report["answers"].append(row)
                print(_line(row), flush=True)
    if a.json is not None:
        a.json.write_text(json.dumps(report, indent=1) + "\n")


def _line(row: dict[str, Any]) -> str:
    return "  ".join(f"{k} {v:.1f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())


if __name__ == "__main__":
    run_task(main, "the arguments that name files")
