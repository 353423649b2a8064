"""What several test files need: tiny models whose every parameter is large enough to matter, random pairs, commands in this process."""

from __future__ import annotations

import logging
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iterpref.schema import Example

# A background job of a shell starts with Ctrl-C ignored, and hands that on to what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
VOCABULARY = 48
EOS = 1


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., Any]:
    """`tiny_model("qwen3", dtype, seed)`: a fresh two-layer model. Its weights are not small, so that no token looks like another."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    # Tensors this small are faster on one thread, much faster on a busy machine, and repeat to the bit.
    torch.set_num_threads(1)
    latent = {
        "head_dim": None, "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8, "v_head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
        "first_k_dense_replace": 1, "n_group": 2, "topk_group": 1, "n_shared_experts": 1,
    }  # fmt: skip
    special = {"deepseek_v2": latent, "deepseek_v3": latent, "qwen3": {"tie_word_embeddings": False}}

    def build(kind: str = "llama", dtype: torch.dtype = torch.float32, seed: int = 0, **settings: Any) -> Any:
        sizes = {
            "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "tie_word_embeddings": True,
            "bos_token_id": None, "eos_token_id": EOS, "pad_token_id": 0,
        }  # fmt: skip
        sizes = {k: v for k, v in {**sizes, **special.get(kind, {}), **settings}.items() if k != "head_dim" or v}
        model = AutoModelForCausalLM.from_config(
            CONFIG_MAPPING[kind](**sizes), dtype=dtype, attn_implementation="eager" if kind == "gemma2" else "sdpa"
        )
        if hasattr(model, "set_experts_implementation"):
            model.set_experts_implementation("eager")  # the others take no fp64
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype)
                parameter.copy_(0.25 * noise + (parameter.ndim == 1 and parameter.mean() > 0.5))
        return model

    return build


@pytest.fixture(scope="session")
def make_examples() -> Callable[..., list[Example]]:
    """`make_examples(n, seed)`: pairs that share some prefix, differ, and end with EOS; D- and D+ are where they differ."""

    def build(
        n: int, seed: int = 0, vocabulary: int = VOCABULARY, split: str = "train", longest: int = 8
    ) -> list[Example]:
        rng = random.Random(seed)

        def tokens(low: int) -> list[int]:
            return [rng.randrange(2, vocabulary) for _ in range(rng.randint(low, longest))]

        examples = []
        for i in range(n):
            prefix, chosen, rejected, tail = tokens(0), tokens(1), tokens(0), tokens(0)
            focal = {
                side: (*(0 for _ in prefix), *(1 for _ in middle), *(0 for _ in tail), 0)
                for side, middle in (("chosen", chosen), ("rejected", rejected))
            }
            examples.append(Example(
                pair_id=f"{split}/{i:02d}", split=split, prompt_ids=tuple(tokens(1)),
                chosen_ids=(*prefix, *chosen, *tail, EOS), rejected_ids=(*prefix, *rejected, *tail, EOS),
                chosen_mask=(1.0,) * len(focal["chosen"]), rejected_mask=tuple(map(float, focal["rejected"])),
                chosen_focal=focal["chosen"], rejected_focal=focal["rejected"],
            ))  # fmt: skip
        return examples

    return build


@pytest.fixture
def commands_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Hydra and Lightning change the process: arguments, folder, log handlers, torch's threads and determinism."""
    import torch

    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.chdir(tmp_path)
    root, threads = logging.getLogger(), torch.get_num_threads()
    handlers, level = root.handlers[:], root.level
    torch.set_num_threads(1)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def one_process_ddp(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`build_trainer` gives a trainer in fp32 by `Buckets`, of this process alone."""
    import torch
    from lightning.fabric.plugins.environments import LightningEnvironment

    from iterpref.copies import Buckets

    for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.setenv(name, "")  # so that what Lightning sets is taken back
        monkeypatch.delenv(name)
    said = {"strategy": Buckets(), "precision": "32-true", "plugins": [LightningEnvironment()]}
    monkeypatch.setattr("iterpref.strategies.build_strategy", lambda config, precision: said)
    yield
    torch.distributed.destroy_process_group()
