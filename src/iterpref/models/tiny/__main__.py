"""Trains the tiny model's tokenizer on the bank: python -m iterpref.models.tiny --out DIR

Done once, with this folder for DIR, and checked in, so that golden curves do not move when the bank grows. Byte-level BPE, 1,024 tokens.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from iterpref.cli import run_task

SPECIAL = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m iterpref.models.tiny", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder that its three files are written to"
    )
    train(parser.parse_args(arguments).out)


def train(folder: Path) -> None:
    """Writes the tokenizer's three files into the folder."""
    # Imported late: `--help` must not wait for them.
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from iterpref.codeflow.bank import load_bank

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [text for task in load_bank() for text in (task.prompt, task.reference[0].text)]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|end|>",
        "pad_token": "<|pad|>",
        "model_max_length": 4096,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(TEMPLATE)


if __name__ == "__main__":
    run_task(main, "--out DIR")
