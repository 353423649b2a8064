"""The command line: overrides are checked before anything runs, and what a person can mend ends with a sentence."""

from __future__ import annotations

import errno
import logging
import logging.config
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from iterpref import convert, evaluate, report
from iterpref.cli import (
    _missing_launcher,
    check_overrides,
    config_groups,
    explain_os_error,
    folder_argument,
    merge_overrides,
    run_command,
    run_task,
    split_flags,
)
from iterpref.config import Config
from iterpref.errors import UserError


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    # Hydra logs to the stream of this test, which is closed in the next one.
    root.handlers[:] = handlers
    root.setLevel(level)


def refused(command: str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        check_overrides(command, overrides)
    return str(caught.value)


def stopped(capsys: pytest.CaptureFixture[str], command: str, *arguments: str, code: int = 2) -> str:
    """What `command` says before it ends with `code`, without having called its task."""

    def never(config: Config) -> None:
        raise AssertionError("the task was called")

    with pytest.raises(SystemExit) as caught:
        run_command(command, never, list(arguments))
    assert caught.value.code == code
    return capsys.readouterr().err


def ran(command: str, *arguments: str) -> list[Config]:
    seen: list[Config] = []
    run_command(command, seen.append, [*arguments])
    return seen


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("loss.betta=1", "unknown option 'loss.betta'; did you mean 'loss.beta'?"),
        ("+loss.x=1", "unknown option 'loss.x'; the options of loss are"),
        ("++loss.x=1", "unknown option 'loss.x'"),
        ("+new=1", "unknown option 'new'"),
        ("losss=sft", "unknown option 'losss'; did you mean 'loss'?"),
        ("experimnt=smoke", "unknown option 'experimnt'; did you mean 'experiment'?"),
        ("beta=0.1,0.3", "unknown option 'beta'; did you mean 'loss.beta'?"),
        ("model=smolm2", "model=smolm2 is none of pretrained, smollm2_135m, tiny; did you mean 'smollm2_135m'?"),
        ("model='smolm2'", "model=smolm2 is none of"),
        ("loss=null", "is none of sft, sft_rejected, target_dpo, target_rpo; for the default, leave loss out"),
        ("experiment=none", "; for none of them, experiment=null"),
        ("debug=fast,null", "debug=null is none of fast, nan, overfit, profile; for none of them"),
        ("experiment=smok", "; did you mean 'smoke'?"),
        ("experiment=target_rpo", "; did you mean 'paper/target_rpo'?"),
        ("experiment=paper/target_rp", "; did you mean 'paper/target_rpo'?"),
        ("experiment=dpo", "experiment=dpo is none of demo, paper/"),
        ("experiment=dpo", "; did you mean 'paper/dpo'?"),
        ("experiment=paper/beta", "; did you mean 'sweep=paper/beta'?"),
        ("reading=offical", "reading=offical is none of official, paper; did you mean 'official'?"),
        ("reading=null", "reading=null is none of official, paper; for the default, leave reading out"),
        ("sweep=null", "; for the default, leave sweep out"),
        (
            "mask=paper,offical",
            "mask=offical is none of diff_aug, full, hybrid, official, paper, soft, symmetric; did you mean 'official'?",
        ),
        ("mask=choice(paper,offical)", "mask=offical is none of"),
        ("experiment=smoke,dmo", "; did you mean 'demo'?"),
        ("~loss.beta", "'~loss.beta': no option can be taken away; give loss.beta=VALUE"),
        ("~loss.beta=0.1", "'~loss.beta=0.1': no option can be taken away"),
        ("~loss", "'~loss': no option can be taken away"),
        ("~experiment", "'~experiment': no option can be taken away"),
    ],
)
def test_an_override_that_names_nothing_is_refused_with_the_nearest(override: str, expected: str) -> None:
    assert expected in refused("train", override)


@pytest.mark.parametrize(
    ("command", "override"),
    [
        ("prepare", "loss.beta=0.3"),
        ("prepare", "loss=sft"),
        ("prepare", "optim={lr: 1}"),
        ("evaluate", "loss.beta=0.3"),
        ("evaluate", "experiment=smoke"),
        ("evaluate", "reading=official"),
        ("report", "reading=paper"),
        ("evaluate", "optim.lr=1"),
        ("report", "model=tiny"),
        ("report", "evaluate.max_tasks=1"),
    ],
)
def test_an_override_without_effect_is_refused(command: str, override: str) -> None:
    message = refused(command, override)
    assert message.startswith(f"'{override}' has no effect on iterpref.{command}, which uses only: ")
    assert "paths" in message


@pytest.mark.parametrize(
    "override",
    [
        "loss.beta=0.1,0.3", "loss.beta=interval(0.1,0.5)", "mask=paper,official", "mask=glob(*)",
        "loss=choice(sft,target_dpo)", "hydra.sweep.dir=x", "hydra/launcher=basic", "~hydra.job_logging",
        "hydra.job.name='x=1'", "name='a,b'", 'name="x=1 [b]"', "logger.tags=[a,'b,c']", "model=[tiny]",
        "model.path=null", "problems.path='/a b/[1]{2}.jsonl'", "debug={samples: 3}", "++loss.beta=1",
        "experiment=smoke", "hydra.job.chdir=false",
    ],
)  # fmt: skip
def test_what_has_a_meaning_passes(override: str) -> None:
    check_overrides("train", [override])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a=1", "-m", "b=2"], ["-m", "a=1", "b=2"]),
        (["a=1", "--config-dir", "x", "b=2"], ["--config-dir", "x", "a=1", "b=2"]),
        (["a=1", "-cd", "x=y", "~b"], ["-cd", "x=y", "a=1", "~b"]),
        (["a=1", "--config-dir=x", "b=2", "--info", "all"], ["--config-dir=x", "--info", "all", "a=1", "b=2"]),
        (["RUN", "a=1", "--cfg", "job", "b=2"], ["RUN", "--cfg", "job", "a=1", "b=2"]),
    ],
)
def test_flags_go_in_front_with_their_words(arguments: list[str], expected: list[str]) -> None:
    flags, overrides = split_flags(arguments)
    assert [*flags, *overrides] == expected


def test_groups_are_the_folders_and_choices_their_files() -> None:
    groups = config_groups()
    assert groups["problems"] == ["bank", "features", "hub", "instructions", "jsonl", "mbpp", "stdio"]
    assert "." not in groups


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["loss.beta=abc"], "loss.beta='abc' has the wrong type: float was expected"),
        (["plugins=nope.py"], "list[str] was expected; write it in brackets: plugins=[nope.py]"),
        (["~loss.beta"], "no option can be taken away"),
        (["data.global_batch=7"], "data.global_batch=7 is not a multiple of"),
        (["loss.beta=0.1,0.3"], "Ambiguous value for argument 'loss.beta=0.1,0.3'"),
        (["loss.beta=[1"], "no viable alternative"),
        (
            ["+loss.beta=1"],
            "'+loss.beta=1': every option is there already, so that none can be added; give loss.beta=1",
        ),
        (["+experiment=smoke"], "so that none can be added; give experiment=smoke"),
        (["++mask=full"], "so that none can be added; give mask=full"),
        (["hydra.job.chdir=true"], "would look for all relative paths in the run's folder"),
        (["hydra.run.dir=x"], "'hydra.run.dir=x' would move a log alone: give paths.run=DIR"),
        (["loss={betta: 1}"], "Could not override 'loss'"),
        (
            ["experiment=paper/prefix_suffix", "pairs.diff=lcs", "loss=target_dpo", "loss.nll=mean"],
            "loss.nll has no effect",
        ),
        (
            ["experiment=paper/negatives_first", "pairs=paper"],
            "pairs=paper sets pairs.negative=random, but experiment=paper/",
        ),
        (["loss=target_dpo", "loss.nll=mean"], "loss.nll has no effect with loss.alpha=0: add loss.alpha=1"),
        (["loss=target_dpo", "loss={nll_side: rejected}"], "loss.nll_side has no effect with loss.alpha=0"),
        (["loss=sft", "++loss.link=ipo"], "loss.link has no effect with loss.preference=0"),
        (["loss=sft", "loss.beta=0.3"], "loss.beta has no effect with loss.preference=0"),
        (["loss=sft", "loss.length_normalised=true"], "loss.length_normalised has no effect"),
        (["loss.link=hinge", "loss.label_smoothing=0"], "loss.label_smoothing has no effect with loss.link=hinge"),
        (["mask.context_max=2"], "mask.context_max has no effect with masks other than diff_aug: add mask=diff_aug"),
        (["mask.soft_weight=0.1"], "mask.soft_weight has no effect with masks other than soft"),
        (["mask=full", "mask.full_share=0.5"], "mask.full_share has no effect with masks that are full anyway"),
        (["mask=symmetric", "mask.eos=false"], "mask.eos has no effect with masks that never count"),
        (
            ["experiment=paper/negatives_first", "pairs=a/b"],
            "experiment=paper/negatives_first sets pairs.negative, which has no effect with pairs=a/b",
        ),
        (["experiment=paper/sampling", "pairs=a/b"], "experiment=paper/sampling sets pairs.by, which has no effect"),
        (
            ["pairs=a/b", "generate.bugs_max=2"],
            "generate.bugs_max has no effect with pairs=a/b, which brings pairs of its own",
        ),
        (["pairs=a/b", "pairs.columns.rejected=chosen"], "name one column twice: a pair needs three"),
        (["name=${nope}"], "'nope'"),
        (["loss.beta"], "missing EQUAL"),
        (["loss.beta"], "as in loss.beta=VALUE"),
        (["smoke"], "did you mean experiment=smoke?"),
        (["loss.beta", "=", "0.3"], "'=' names no option: OPTION=VALUE was expected, without spaces around the ="),
        (["paths.run=a b,c=d"], "stands in quotes, and for the shell all of it once more: \"paths.run='a b,c=d'\""),
        (["paths.run="], "paths.run is empty: give paths.run=VALUE, or leave it out"),
        (["-m", "paths.run=x,y"], "paths.run has no effect on a sweep"),
    ],
)
def test_a_command_stops_with_2_and_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    message = stopped(capsys, "train", *arguments).rpartition("\niterpref: ")[2]
    assert expected in message
    assert "Traceback" not in message
    assert message.count("\n") == 1


def test_a_command_gets_its_config() -> None:
    (config,) = ran("prepare", "paths.data='d,[e]'", "seed=3", "mask=official", "seed=4")
    assert (config.paths.data, config.seed, config.mask.chosen) == ("d,[e]", 4, "fence")


@pytest.mark.parametrize(
    "overrides",
    [
        ["loss=target_dpo"],
        ["loss=sft", "loss.nll=mean"],
        ["reading=official", "loss=target_dpo"],
        ["experiment=demo", "loss.alpha=0"],
        ["experiment=paper/negatives_first", "pairs=paper", "pairs.negative=last"],
        ["experiment=paper/prefix_suffix", "pairs=a/b"],
        ["experiment=smoke", "pairs=a/b"],
        ["experiment=paper/hybrid_dpo", "pairs=a/b", "pairs.bad_rows=drop"],
        ["experiment=smoke", "model=pretrained", "model.path=x"],
        ["experiment=paper/dpo", "mask=symmetric", "loss=sft"],
        ["loss.alpha=0", "loss.link=ipo", "loss.length_normalised=true"],
        ["mask=diff_aug", "mask.context_max=3"],
        ["mask=soft", "mask.soft_weight=0.5", "mask.eos=false"],
        ["mask=symmetric", "mask.full_share=0.5", "mask.eos=false"],
    ],
)
def test_a_preset_may_hold_values_without_effect(overrides: list[str]) -> None:
    assert len(ran("train", *overrides)) == 1


@pytest.mark.parametrize(
    "nulls",
    [["experiment=null"], ["debug=null", "+experiment=NULL"], ["experiment=smoke", "experiment=null"]],
)
def test_null_is_no_choice_of_a_group_that_a_command_can_do_without(nulls: list[str]) -> None:
    (config,) = ran("train", *nulls, "seed=3", "debug.samples=3")
    assert (config.name, config.seed, config.debug.samples, config.trainer.max_steps) == ("iterpref", 3, 3, None)


def test_hydra_flags_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("train", "--cfg", "job", "--package", "loss") == []
    assert "beta: 0.1" in capsys.readouterr().out


def test_data_may_be_prepared_for_several_values() -> None:
    configs = ran("prepare", "-m", "seed=3,4", "hydra.sweep.dir=sweep")
    assert [c.seed for c in configs] == [3, 4]


def test_flags_may_stand_between_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    message = stopped(
        capsys, "train", "seed=1", "-m", "loss.beta=0.1,0.3", "trainer.devices=2", "hydra.sweep.dir=sweep"
    )
    assert "sweep with trainer.devices=1" in message


def test_an_error_of_ours_is_no_user_error() -> None:
    def task(config: Config) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command("prepare", task, ["paths.data=d"])


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (UserError("mend this"), 2, "iterpref: mend this\n"),
        (KeyboardInterrupt(), 130, "run the same command again to go on"),
        (OSError(errno.ENOSPC, "full", "/d/x"), 2, "the disk is full while writing /d/x"),
    ],
)
def test_a_task_that_fails_ends_with_its_sentence(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, expected: str
) -> None:
    def task(config: Config) -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        run_command("prepare", task, ["paths.data=d"])
    assert caught.value.code == code
    assert expected in capsys.readouterr().err


def test_a_log_file_that_cannot_be_opened_is_told_as_the_disk_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    handler = {"class": "logging.FileHandler", "filename": str(tmp_path / "taken" / "train.log")}
    with pytest.raises(SystemExit) as caught:
        run_task(
            lambda: logging.config.dictConfig(
                {"version": 1, "handlers": {"file": handler}, "root": {"handlers": ["file"]}}
            )
        )
    assert caught.value.code == 2
    assert "taken/train.log: a file stands where a folder is needed" in capsys.readouterr().err
    with pytest.raises(ValueError, match="of the program"):
        run_task(lambda: int("of the program"))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "no permission"),
        (errno.EPERM, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.ENOENT, "cannot be made or found"),
        (errno.ENOTDIR, "a file stands where a folder is needed"),
        (errno.EEXIST, "a file stands where a folder is needed"),
        (errno.EISDIR, "a folder stands where a file is needed"),
    ],
)
def test_an_error_of_the_disk_names_the_place_and_the_remedy(number: int, expected: str) -> None:
    message = explain_os_error(OSError(number, os.strerror(number), "/some/place"))
    assert expected in message
    assert "/some/place" in message
    assert "paths.data=DIR" in message


def test_an_unknown_error_of_the_system_is_raised_again() -> None:
    with pytest.raises(OSError, match="pipe"):
        explain_os_error(OSError(errno.EPIPE, "pipe"))


def test_a_path_that_is_a_file_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    message = stopped(capsys, "prepare", "paths.data=file/data")
    assert "a file stands where a folder is needed" in message


@pytest.mark.parametrize(
    "name", ["runs/a b", "it's", "back\\slash", "end\\", "q\\'x", "loss.beta=0.1,mask=paper", "[1]{2}$"]
)
def test_a_run_folder_of_any_name_may_come_first(name: str) -> None:
    Path(name).mkdir(parents=True)
    first, second = folder_argument([name, "report.pairs=3"])
    (override,) = OverridesParser.create().parse_overrides([first])
    assert (override.key_or_group, override.value(), second) == ("paths.run", name, "report.pairs=3")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["paths.run=x"],
        ["paths.run=x", "y"],
        ["loss.beta=1", "x", "y"],  # which of them?
        ["loss.beta=1", "benchmark"],  # an option that lacks its value
        ["--config-dir", "x", "loss.beta=1"],
        ["loss.beta=1", "-cd", "x"],
    ],
)
def test_words_that_name_no_folder_are_left_alone(arguments: list[str]) -> None:
    assert folder_argument(arguments) == arguments


def test_a_run_folder_may_stand_behind_overrides_and_flags() -> None:
    assert folder_argument(["benchmark=bank", "x"]) == ["benchmark=bank", "paths.run='x'"]
    assert folder_argument(["-cd", "y", "x", "~z"]) == ["-cd", "y", "paths.run='x'", "~z"]


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["--experiment", "smoke"], "experiment=VALUE"),
        (["--loss.beta=0.3"], "loss.beta=0.3"),
        (["loss.beta=0.3", "--resume"], "resume=VALUE"),
    ],
)
def test_an_option_with_dashes_is_no_flag_of_hydras(
    arguments: list[str], remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = stopped(capsys, "train", *arguments)
    assert "options are written without dashes" in message
    assert message.rstrip().endswith(f": {remedy}")


@pytest.mark.parametrize(
    "override", ["sweep=optuna", "launcher=joblib", "sweep.metric=val/nll", "sweep={metric:val/nll}"]
)
def test_options_of_a_sweep_are_refused_where_one_job_runs(override: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is for a sweep, and this command runs one job: add -m" in stopped(capsys, "train", override)


def test_an_unknown_function_of_a_sweep_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    message = stopped(capsys, "train", "-m", "optim.lr=intervall(1e-5,1e-2)")
    assert "Unknown function 'intervall'" in message
    assert "interval(a,b)" in message


def test_a_launcher_that_is_not_installed_is_told_with_its_extra() -> None:
    told = "Could not find 'hydra/launcher/{}' Available options in 'hydra/launcher': basic"
    assert _missing_launcher(told.format("ray")) == "the launcher ray is not installed: pip install 'iterpref[ray]'"
    assert _missing_launcher(told.format("submitit_slurm")).endswith(
        "submitit_slurm is not installed: pip install 'iterpref[sweep]'"
    )
    assert _missing_launcher("Could not find 'hydra/job_logging/x'") == ""


@pytest.mark.parametrize("command", [evaluate, convert, report], ids=["evaluate", "convert", "report"])
def test_a_command_without_its_run_asks_for_one_and_names_the_last(
    command: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    for name in ("config.yaml", "run.json"):
        (run / name).write_text("{}")
    with pytest.raises(SystemExit) as caught:
        command.main(["paths.data=elsewhere"])
    assert caught.value.code == 2
    name = command.__name__.rpartition(".")[2]
    assert f"of which run? python -m iterpref.{name} RUN (the last run there: runs/mine)" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "convert"])
def test_a_folder_that_is_no_run_is_told_without_importing_torch(command: str, tmp_path: Path) -> None:
    # The export of a run is the folder that is taken for the run most easily.
    (tmp_path / "run" / "export").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    code = f"import sys; from iterpref.{command} import main\ntry: main(['run/export'])\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "run/export is no run" in done.stderr
    assert "it is a part of the run run" in done.stderr


def test_a_run_keeps_its_options_where_this_command_line_says_nothing() -> None:
    run = Config()
    run.evaluate.batch_size, run.evaluate.max_new_tokens, run.trainer.epochs, run.loss.beta = 3, 77, 9, 0.5
    merged: list[Config] = []

    def task(config: Config) -> None:
        merged.append(merge_overrides(config, run, ("evaluate", "trainer", "ops")))

    arguments = [
        "evaluate={max_tasks: 2}",
        "evaluate.batch_size=4",
        "trainer.log_every=5",
        "ops=torch",
        "sandbox.wall_s=1",
    ]
    run_command("evaluate", task, arguments)
    (config,) = merged
    assert (config.evaluate.max_tasks, config.evaluate.batch_size, config.evaluate.max_new_tokens) == (2, 4, 77)
    assert (config.trainer.log_every, config.trainer.epochs, config.ops) == (5, 9, "torch")
    assert (config.loss.beta, config.sandbox.wall_s) == (0.5, 10.0)


def test_a_group_replaces_the_section_of_a_run() -> None:
    merged: list[Config] = []

    def task(config: Config) -> None:
        merged.append(merge_overrides(config, Config(), ("trainer",)))

    run_command("evaluate", task, ["trainer=cpu_exact"])
    assert (merged[0].trainer.accelerator, merged[0].trainer.deterministic) == ("cpu", True)


def test_a_rerun_of_no_folder_stops_with_2_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    from iterpref.train import main

    with pytest.raises(SystemExit) as stopped:
        main(["--rerun"])
    assert stopped.value.code == 2
    assert "--rerun needs the folder of a run" in capsys.readouterr().err


def test_a_refused_command_leaves_no_folder_and_changes_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old/config.yaml").write_text("mine")
    (tmp_path / "empty").touch()
    for place in ("new/run", "old"):
        for command in ("train", "prepare"):
            key = "run" if command == "train" else "data"
            with pytest.raises(SystemExit):
                run_command(command, print, [f"paths.{key}={place}", "model.path=x"])
    kept = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")} - {"old/train.log"}
    assert kept == {"old", "old/config.yaml", "empty"}


def test_help_does_not_wait_for_torch() -> None:
    program = (
        "import iterpref.train, iterpref.prepare, iterpref.evaluate, iterpref.report, sys; print(*sorted(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "iterpref.cli" in loaded
    assert not {"torch", "transformers", "lightning", "pyarrow", "matplotlib"} & set(loaded)


def test_messages_name_options_that_exist() -> None:
    from iterpref.config import schema_keys

    keys = {key for key, _ in schema_keys()}
    source = Path(__file__).parents[2] / "src/iterpref"
    text = "".join(f.read_text() for f in (source / "cli.py", *sorted((source / "config").glob("*.py"))))
    sections = "|".join(key for key in keys if any(other.startswith(f"{key}.") for other in keys))
    named = set(re.findall(rf"\b(?:{sections})\.[a-z_0-9.]+(?==)", text))
    assert named
    assert named <= keys
