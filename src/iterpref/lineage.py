"""What came from what, as wandb artifacts: trajectories -> pairs -> tokens -> model -> evaluation.

Stages are named by their fingerprints, so that runs on the same data share them. Each artifact's metadata name its inputs; a
run uses what it reads and logs what it makes, so that wandb draws the graph, also after `wandb sync` of an offline run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from iterpref.artifacts import Artifact as Stage
from iterpref.data.stages import Prepared
from iterpref.run_record import read_done

_STAGES = ("trajectories", "pairs", "tokens")
_OF_MANIFEST = ("counts", "config", "pass_rate_by_iteration", "tier")


def use_data(run: Any, prepared: Prepared, keep: str) -> None:
    """Marks the data stages as inputs of the open wandb run. `keep`: reference (names and places) or upload (the tables)."""
    inputs: list[str] = []
    for kind in _STAGES:
        stage: Stage | None = getattr(prepared, kind)
        if stage is None:
            continue  # somebody else's pairs have no history
        manifest = {name: stage.manifest[name] for name in _OF_MANIFEST if name in stage.manifest}
        name = f"{kind}-{stage.fingerprint}"
        _use(run, _artifact(name, kind, {"inputs": inputs, **manifest}, stage.folder, keep))
        inputs = [name]


def log_model(run: Any, folder: Path, keep: str) -> None:
    """Logs the exported model of a finished run folder as what the wandb run made."""
    run.log_artifact(_model(folder, keep))


def log_evaluation(run: Any, folder: Path, keep: str) -> None:
    """Logs the evaluation of a run folder as what the wandb run made from its model."""
    model = _model(folder, keep)
    _use(run, model)
    name = model.name.split(":")[0].replace("model-", "evaluation-", 1)
    run.log_artifact(
        _artifact(name, "evaluation", {"inputs": [model.name.split(":")[0]]}, folder / "evaluation", "upload")
    )


def _model(folder: Path, keep: str) -> Any:
    record = json.loads((folder / "run.json").read_text())
    metadata = {"inputs": [f"tokens-{record['data']['tokens']}"], **(read_done(folder) or {})}
    return _artifact(f"model-{record['tracker_id']}", "model", metadata, folder / "export", keep)


def _artifact(name: str, kind: str, metadata: dict[str, Any], folder: Path, keep: str) -> Any:
    import wandb

    artifact = wandb.Artifact(name, type=kind, metadata=metadata)
    # With its metadata as a file in it, another model at the same place is another version.
    with artifact.new_file("lineage.json") as handle:
        json.dump(metadata, handle, indent=1, sort_keys=True)
    if keep == "upload":
        artifact.add_dir(str(folder))
    else:
        # Not read: a stage's folder is named by what is in it, and a model has the file above.
        artifact.add_reference(folder.resolve().as_uri(), name="folder", checksum=False)
    return artifact


def _use(run: Any, artifact: Any) -> None:
    """`run.use_artifact`, also offline: the call refuses there, but the file has a place for it, which `wandb sync` reads."""
    if not run.offline:
        run.use_artifact(artifact)
    elif hasattr(run, "_log_artifact"):
        run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
    else:
        run.log_artifact(artifact)
