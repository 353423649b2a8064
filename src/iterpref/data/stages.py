"""All of data preparation, as `iterpref.prepare` and `CodeFlowDataModule.prepare_data` both call it.

    (features ->) problems -> trajectories -> pairs -> tokens and masks  (-> reference log-probs, `data.reference_cache`)
            anyone's rows -> pairs

Each stage has a key of its own: a new mask rule re-uses trajectories and pairs, a new loss re-uses everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from iterpref.artifacts import Artifact, file_sha256, fingerprint
from iterpref.build import build_generator, build_judge, build_limits, build_sandbox, local_models
from iterpref.codeflow.contamination import evaluation_tasks
from iterpref.codeflow.features.stage import written_tasks
from iterpref.codeflow.pair_stages import external_pairs_stage, pairs_stage
from iterpref.codeflow.problems import load_problems
from iterpref.codeflow.stages import trajectories_stage
from iterpref.config import Config
from iterpref.data.tokens import tokens_stage
from iterpref.models.source import resolve_model, tokenizer_key
from iterpref.schema import Problem


@dataclass(frozen=True)
class Prepared:
    """Finished stages, and the local folder of the model whose tokenizer made the tokens."""

    data: Path
    trajectories: Artifact | None  # None: the pairs are somebody else's
    pairs: Artifact
    tokens: Artifact
    model: Path

    def fingerprints(self) -> dict[str, str]:
        stages = {"trajectories": self.trajectories, "pairs": self.pairs, "tokens": self.tokens}
        return {
            "folder": str(self.data),
            **{name: artifact.fingerprint for name, artifact in stages.items() if artifact},
        }


def prepare(config: Config) -> Prepared:
    """Builds what is missing and returns the finished stages; does nothing twice."""
    data = Path(config.paths.data)
    # First: a model that is not there, or not fit, must not cost hours.
    model = resolve_model(config.model, data, config.seed)
    _check_once(data, model, config)
    trajectories, pairs = prepare_pairs(config)
    tokens = tokens_stage(data, pairs, model, config)
    return Prepared(data, trajectories, pairs, tokens, model)


def _check_once(data: Path, model: Path, config: Config) -> None:
    """`check_tokens`, unless this model has passed it before: it takes some seconds of imports, which finished stages do without."""
    settings = model / "config.json"
    key = fingerprint(
        "fit", tokenizer_key(model), settings.is_file() and file_sha256(settings), config.model.prompt_format
    )
    passed = data / "tokens" / f".{key}.fit"
    if passed.is_file():
        return
    from iterpref.models.checks import check_tokens

    check_tokens(model, config.model)
    passed.parent.mkdir(parents=True, exist_ok=True)
    passed.touch()


def load_tasks(config: Config) -> list[Problem]:
    """The tasks of the configured source; those that a language model has yet to write are written first."""
    if config.problems.source == "features":
        return written_tasks(
            Path(config.paths.data), config.problems, config.generate, local_models(config), config.seed
        )
    return load_problems(config.problems, Path(config.paths.data))


def prepare_pairs(config: Config) -> tuple[Artifact | None, Artifact]:
    """The stages that need no tokenizer: trajectories (None where the pairs are somebody else's) and pairs."""
    data = Path(config.paths.data)
    problems = cache(lambda: load_tasks(config))
    tasks = evaluation_tasks(config.pairs, problems)
    if config.pairs.source == "external":
        return None, external_pairs_stage(data, config.pairs, tasks)
    judge = build_judge(config) if config.pairs.judge else None
    trajectories = trajectories_stage(
        data, problems(), build_generator(config.generate, data, config.debug.min_test_score is not None, local_models(config)),
        lambda: build_sandbox(config.sandbox, config.executor),
        build_limits(config.sandbox), config.debug, config.seed,
    )  # fmt: skip
    return trajectories, pairs_stage(data, trajectories, config.pairs, config.seed, judge, tasks)
