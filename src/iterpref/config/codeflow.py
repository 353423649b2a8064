"""Schema of CodeFlow: where tasks come from, and how long one tries. Who writes the code is in `generate.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from iterpref.config.option import option, section
from iterpref.registry import SOURCES


@dataclass
class MappingConfig:
    """Rows of any shape as tasks: Jinja expressions over a row's columns, such as `test_list | join("\\n")`."""

    task_id: str | None = option(None, "the task's name; null: its place in the file")
    prompt: str | None = option(None, "what the model is asked; null: rows have the fields of problems=jsonl")
    tests: str | None = option(None, "unittest module or bare asserts; null: the author writes them")
    setup: str | None = option(None, "what runs before bare asserts, after the solution")
    inputs: str | None = option(None, "list of standard inputs, for programs that read one")
    outputs: str | None = option(None, "list of what they must print")
    solution: str | None = option(None, "reference program; null: none")
    split: str | None = option(None, "train, validation or test; null: train")
    category: str | None = option(None, "kind of task, for statistics")
    license: str | None = option(None, "of the task")


@dataclass
class FeaturesConfig:
    """Tasks that a language model writes about features drawn from a tree."""

    tasks: int = option(100, "tasks to be written, each about features that no other has", low=1)
    each: int = option(3, "features of one task, from different branches of one domain", low=1)
    evolve: int = option(0, "nodes of the tree that the model is first asked to extend", low=0)
    validation_share: float = option(0.05, "share of the tasks kept for validation", low=0, high=1)
    test_share: float = option(0.05, "share of the tasks kept for the evaluation", low=0, high=1)


@dataclass
class ProblemsConfig:
    source: str = option("bank", "where tasks come from", choices=SOURCES)
    path: str | None = option(
        None,
        "source=jsonl: a JSONL file of tasks; hub: a folder, a file or OWNER/NAME; features: a YAML file with a tree, null: ours",
    )
    subset: str | None = option(None, "configuration of the data set, for source=hub")
    revision: str | None = option(None, "revision of the data set on the hub")
    hub_split: str | None = option(None, "its split that is read; null: all of them")
    features: FeaturesConfig = field(
        default_factory=FeaturesConfig, metadata=section("what tasks are written about, for source=features")
    )
    mapping: MappingConfig = field(
        default_factory=MappingConfig, metadata=section("where a task's fields come from in rows of any shape")
    )
    limit: int | None = option(None, "use only so many tasks, the first of each split in turn", low=1)


@dataclass
class DebugConfig:
    samples: int = option(2, "trajectories for each task", low=1)
    max_refinements: int = option(5, "revisions before a task is given up (paper: 5); 0: samples alone", low=0)
    repeat: int = option(2, "runs of each version; one whose runs disagree is FLAKY and makes no pair", low=1)
    verify_reference: bool = option(
        True, "run each task's reference on its own tests first, and drop the task if it fails"
    )
    drop_stub_passes: bool = option(True, "drop tests that pass a program whose functions do nothing")
    min_coverage: float = option(0.0, "drop tests that run a smaller share of the program's lines", low=0, high=1)
    min_test_score: float | None = option(
        None, "let a language model (generate.judge) score the author's tests from 1 to 5, and drop those below in anything; null: off",
        low=1, high=5,
    )  # fmt: skip
    lost: str = option(
        "stop", "what becomes of tasks that the model's server failed for good: stop and try again next time, or finish without",
        choices=("stop", "drop"),
    )  # fmt: skip


@dataclass
class SandboxConfig:
    name: str = option("embedded", "whose walls: our own fork server's, or bubblewrap's", choices=("embedded", "bwrap"))
    tier: str = option(
        "auto", "walls of sandbox=embedded; auto: the strongest that this machine gives, or an error",
        choices=("auto", "namespaces", "landlock", "plain"),
    )  # fmt: skip
    allow_unsafe: bool = option(
        False, "go on with tier plain where nothing better works: no walls around files and network"
    )
    workers: int | None = option(None, "runs at once, with executor=ray on each node; null: one a core", low=1)
    wall_s: float = option(
        10.0, "wall-clock limit of one run, seconds; waiting for a busy core is not counted", above=0
    )
    cpu_s: float = option(2.0, "CPU-time limit of one run, seconds", above=0)
    memory_mb: int = option(1024, "memory limit of one process of a run, beyond the interpreter's own, MiB", low=64)
    output_kb: int = option(256, "cap on each of stdout and stderr, KiB", low=1)
    disk_mb: int = option(64, "limit of all files that a run makes, MiB", low=1)
    processes: int = option(32, "limit of processes and threads of one run, its own among them", low=1)
