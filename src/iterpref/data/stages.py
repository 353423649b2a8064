"""All of data preparation, as `iterpref.prepare` and `CodeFlowDataModule.prepare_data` both call it.

    problems -> trajectories -> pairs -> tokens and masks  (-> reference log-probs, `data.reference_cache`)
            anyone's rows -> pairs

Each stage has a key of its own: a new mask rule re-uses trajectories and pairs, a new loss re-uses everything.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from iterpref.artifacts import Artifact, building, find, fingerprint, publish
from iterpref.build import build_generator, build_limits, build_sandbox
from iterpref.codeflow.pair_stages import external_pairs_stage, pairs_stage
from iterpref.codeflow.problems import load_problems
from iterpref.codeflow.stages import trajectories_stage
from iterpref.config import Config
from iterpref.errors import UserError
from iterpref.models.source import resolve_model, tokenizer_key
from iterpref.schema import PreferencePair

log = logging.getLogger(__name__)


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
    trajectories = None
    if config.pairs.source == "external":
        pairs = external_pairs_stage(data, config.pairs)
    else:
        trajectories = trajectories_stage(
            data, load_problems(config.problems), build_generator(config.generate, data), lambda: build_sandbox(config.sandbox),
            build_limits(config.sandbox), config.debug, config.seed,
        )  # fmt: skip
        pairs = pairs_stage(data, trajectories, config.pairs, config.seed)
    model = resolve_model(config.model, data, config.seed)
    tokens = tokens_stage(data, pairs, model, config)
    return Prepared(data, trajectories, pairs, tokens, model)


def tokens_stage(data: Path, pairs: Artifact, model: Path, config: Config) -> Artifact:
    """Token ids and masks of every pair that `tokenise_pairs` does not drop; raises `UserError` when none is left."""
    limits = {
        "max_prompt_tokens": config.data.max_prompt_tokens,
        "max_completion_tokens": config.data.max_completion_tokens,
        "overlong": config.data.overlong,
    }
    drawn = config.mask.full_share > 0 or "diff_aug" in (config.mask.chosen, config.mask.rejected)
    tokenizer_hash = tokenizer_key(model)
    key = fingerprint(
        "tokens",
        pairs.fingerprint,
        asdict(config.mask),
        limits,
        tokenizer_hash,
        config.model.prompt_format,
        config.seed if drawn else None,
    )
    folder = data / "tokens"
    if done := find(folder, key):
        return done
    with building(folder, key):
        if done := find(folder, key):
            return done
        # Late: a second run with the same configuration never pays for these imports.
        from iterpref.data.examples import EXAMPLE_SCHEMA, to_table
        from iterpref.data.masking import describe_drops, tokenise_pairs
        from iterpref.models.policy import load_tokenizer, render_prompts

        records = pairs.read("pairs", PreferencePair)
        tokenizer = load_tokenizer(model)
        prompts = render_prompts(tokenizer, [p.turns for p in records], config.model)
        examples, drops = tokenise_pairs(records, prompts, tokenizer, config.mask, config.data, config.seed)
        if drops:
            log.warning("pairs dropped: %s; limits on length: data.max_prompt_tokens, data.max_completion_tokens",
                        describe_drops(drops))  # fmt: skip
        if not examples:
            raise UserError(
                f"all {len(records)} pairs are dropped ({describe_drops(drops)}): "
                "raise data.max_prompt_tokens or data.max_completion_tokens"
            )
        manifest = {
            "stage": "tokens",
            "pairs": pairs.fingerprint,
            "tokenizer": tokenizer_hash,
            "config": {"mask": asdict(config.mask), "prompt_format": config.model.prompt_format, **limits},
            "counts": {"pairs": len(records), "examples": len(examples), "dropped": {k: len(v) for k, v in sorted(drops.items())},
                       "splits": dict(sorted(Counter(e.split for e in examples).items())),
                       "tokens": sum(len(e.prompt_ids) + len(e.chosen_ids) + len(e.rejected_ids) for e in examples),
                       "focal_tokens_rejected": sum(int(sum(e.rejected_focal)) for e in examples),
                       "tokens_rejected": sum(len(e.rejected_ids) for e in examples)},
        }  # fmt: skip
        return publish(folder, key, {"tokens": (EXAMPLE_SCHEMA, [to_table(examples)])}, manifest)
