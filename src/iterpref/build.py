"""From config to objects: the only place that knows which class stands behind a name in YAML."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from iterpref.codeflow.generate import Generator
from iterpref.codeflow.generate.local import LocalModels
from iterpref.codeflow.judge import Judge
from iterpref.codeflow.sandbox.protocol import Limits, Sandbox
from iterpref.config import Config, SandboxConfig
from iterpref.config.generate import GenerateConfig


def local_models(config: Config) -> LocalModels:
    """The models that generate=transformers and generate=vllm may run."""
    return LocalModels(Path(config.paths.data), config.model, config.seed)


def build_generator(
    config: GenerateConfig, data: Path, score_tests: bool = False, local: LocalModels | None = None
) -> Generator:
    """Of the models' answers, those that were paid for are kept under `data`. `local`: by default, of a default `model`."""
    if config.name == "mutate":
        from iterpref.codeflow.generate.mutate import MutateGenerator

        return MutateGenerator(config.bugs_min, config.bugs_max, config.wrong_repair, config.kinds or None)
    from iterpref.codeflow.generate.setup import llm_generator

    return llm_generator(config, data, local, score_tests)


def build_judge(config: Config) -> Judge:
    from iterpref.codeflow.generate.setup import difference_judge

    return difference_judge(config.generate, Path(config.paths.data), local_models(config))


def build_sandbox(config: SandboxConfig, executor: str = "local") -> Sandbox:
    """`executor` is local (the cores of this machine) or ray (those of a cluster)."""
    from iterpref.codeflow.sandbox.pool import PooledSandbox

    tier = "bwrap" if config.name == "bwrap" else config.tier
    if executor == "ray":
        from iterpref.codeflow.sandbox.cluster import ClusterSandbox

        return ClusterSandbox(config.workers, tier, config.allow_unsafe)
    return PooledSandbox(config.workers, tier, config.allow_unsafe)


def build_limits(config: SandboxConfig) -> Limits:
    return Limits(**{field.name: getattr(config, field.name) for field in fields(Limits)})
