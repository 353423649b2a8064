"""Tasks from a feature tree: what a tree may be, what is drawn from it, and what a language model makes of it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iterpref.artifacts import find
from iterpref.bench.chat_server import ChatServer, Reply, Request, answer, error
from iterpref.build import build_generator
from iterpref.codeflow.features.stage import Refused, parse_children, parse_task, written_tasks
from iterpref.codeflow.features.tree import FeatureTree, read_tree
from iterpref.codeflow.generate.answer import BadAnswer
from iterpref.codeflow.generate.chat import Completion
from iterpref.codeflow.generate.local import LocalModels
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Limits
from iterpref.codeflow.stages import trajectories_stage
from iterpref.config.codeflow import DebugConfig, FeaturesConfig, ProblemsConfig
from iterpref.config.generate import GenerateConfig
from iterpref.errors import UserError
from iterpref.schema import Problem, Trajectory

SMALL = "domains:\n  a: [a1, a2]\n  b:\n    deep: [b1, {b2: [b21, b22]}]\naspects:\n  x: [x1, x2]\n  y: [y1]\n"


def tree_of(tmp_path: Path, text: str = SMALL, each: int = 2) -> FeatureTree:
    (tmp_path / "tree.yaml").write_text(text)
    return read_tree(str(tmp_path / "tree.yaml"), each)


def draw(tree: FeatureTree, n: int, each: int = 2, seed: int = 0) -> list[tuple[str, ...]]:
    seen: set[tuple[str, ...]] = set()
    return [tree.sample(i, each, seed, seen) for i in range(n)]


def test_our_tree_has_room_for_a_large_data_set() -> None:
    tree = read_tree(None, 3)
    found = draw(tree, 3000, each=3)
    assert len(set(found)) == 3000
    domains = [features[0].split("/")[0] for features in found]
    assert {domains.count(domain) for domain in tree.domains} == {3000 // len(tree.domains)}
    assert all(len({f.split("/")[0] for f in features}) == 3 for features in found)


def test_every_sample_is_found_once_and_then_the_remedy_is_named(tmp_path) -> None:
    tree = tree_of(tmp_path)
    found = draw(tree, 15)  # 5 leaves of domains x 3 leaves of aspects
    assert len(set(found)) == 15
    assert {f[0] for f in found} == {"a/a1", "a/a2", "b/deep/b1", "b/deep/b2/b21", "b/deep/b2/b22"}
    with pytest.raises(
        UserError, match=r"gives 15 different samples of problems\.features\.each=2.*problems\.features\.evolve"
    ):
        draw(tree, 16)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_more_tasks_begin_with_the_same_ones(n: int, more: int, seed: int) -> None:
    tree = read_tree(None, 3)
    assert draw(tree, n + more, 3, seed)[:n] == draw(tree, n, 3, seed)


def test_the_order_of_a_tree_changes_no_sample(tmp_path) -> None:
    turned = "aspects:\n  y: [y1]\n  x: [x1, x2]\ndomains:\n  b:\n    deep: [b1, {b2: [b21, b22]}]\n  a: [a1, a2]\n"
    assert draw(tree_of(tmp_path), 10) == draw(tree_of(tmp_path, turned), 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", r"a YAML file with a feature tree was expected"),
        ("a: [b]", r"'domains' was expected at the top"),
        ("domains:\n  a: [b]\nmore: 1\n", r"'domains' was expected at the top"),
        ("domains:\n  a: 5\n", r"domains > a: names below each other were expected, 5 came"),
        ("domains:\n  a: [b, B]\n", r"domains > a: 'B' stands there twice"),
        ("domains:\n  a: ['b/c']\n", r"domains > a: 'b/c' is no name of a feature"),
        ("domains:\n  a: [7]\n", r"domains > a: 7 is no name"),
        ("domains:\n  a: [b]\naspects:\n", r"problems\.features\.each=2: .*has 0 aspects.*choose at most 1"),
        ("domains:\n  a: {b: {c: {d: {e: {f: [g]}}}}}\n", r"deeper than 6 names"),
    ],
)
def test_what_is_no_tree_is_named_with_its_place(tmp_path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tree_of(tmp_path, text)


def completion(text: str, finish: str = "stop") -> Completion:
    return Completion(text, finish, 1, 1, "m", "k")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('<json>{"children": ["b3", " b4 "]}</json>', ["b3", "b4"]),
        ('<think>hm</think>\n<json>{"children": ["b3"],}</json>\n', ["b3"]),
        (f'<json>{{"children": {json.dumps([f"n{i}" for i in range(9)])}}}</json>', [f"n{i}" for i in range(6)]),
    ],
)
def test_children_are_read_from_one_line(text: str, names: list[str]) -> None:
    assert parse_children(completion(text)) == names


@pytest.mark.parametrize(
    "text",
    [
        "b3, b4", '{"children": ["b3"]}', '<json>{"children": []}</json>', '<json>{"children": "b3"}</json>', '<json>{"children": [1]}</json>',
        '<json>{"children": ["../../etc/passwd"]}</json>', '<json>{"children": ["a\\u0000b"]}</json>', '<json>{"children": ["<task>"]}</json>',
        f'<json>{{"children": ["{"x" * 81}"]}}</json>', 'Sure: <json>{"children": ["b3"]}</json>', "<json>" + "[" * 100_000, "x" * 10_000_000,
        '<json>{"children": ["\\ud800"]}</json>', '<json>{"children": ["\\u202egp"]}</json>',
    ],
)  # fmt: skip
def test_any_other_answer_adds_nothing_to_the_tree(text: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        parse_children(completion(text))
    assert caught.value.reason == "children_unreadable"
    assert str(caught.value).isascii()


TASK = "Write `add(x)`, which returns x plus 1, for whole numbers."


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        (f"<task>{TASK}", "length", "answer_cut"),
        (TASK, "stop", "task_unreadable"),
        (f"<task>{TASK}</task><task>{TASK}</task>", "stop", "task_unreadable"),
        (f"Here: <task>{TASK}</task>", "stop", "task_unreadable"),
        ("<task>Add.</task>", "stop", "task_too_short"),
        (f"<task>{TASK * 200}</task>", "stop", "task_too_long"),
        (f"<task>{TASK}\x1b[2J</task>", "stop", "control_characters"),
        (f"<task>{TASK}\ud800</task>", "stop", "control_characters"),
        ("", "stop", "task_unreadable"),
    ],
)
def test_a_task_is_one_text_between_its_marks(text: str, finish: str, reason: str) -> None:
    assert parse_task(completion(f"\n<task>\r\n{TASK}\n</task>\n")) == TASK
    with pytest.raises(BadAnswer) as caught:
        parse_task(completion(text, finish))
    assert caught.value.reason == reason


def author(request: Request, n: int) -> Reply:
    """A function of the request: children named by their node, tasks that repeat their features."""
    text = request["messages"][-1]["content"]
    name = hashlib.sha256(text.encode()).hexdigest()[:6]
    if "node of the tree" in text:
        return answer(f'<json>{{"children": ["new {name}", "other {name}"]}}</json>')
    features = re.findall(r"^- (.+)$", text, re.MULTILINE)
    return answer(f"<task>\nWrite a function about {' and '.join(features)}, please.\n</task>")


def write(tmp_path: Path, server: ChatServer, generate: dict[str, Any] | None = None, **features: Any) -> list[Problem]:
    (tmp_path / "tree.yaml").write_text(SMALL)
    problems = ProblemsConfig(source="features", path=str(tmp_path / "tree.yaml"), features=FeaturesConfig(**features))
    config = GenerateConfig(
        **{"name": "openai", "model": "m", "base_url": server.url, "concurrency": 4, **(generate or {})}
    )
    return written_tasks(tmp_path / "data", problems, config, LocalModels(tmp_path / "data"), 0)


def manifest(tmp_path: Path) -> tuple[dict[str, Any], list[Refused]]:
    (folder,) = [p for p in (tmp_path / "data" / "tasks").iterdir() if p.is_dir()]
    artifact = find(folder.parent, folder.name)
    assert artifact is not None
    return artifact.manifest, artifact.read("refused", Refused)


def test_tasks_carry_their_features_and_are_written_once(tmp_path) -> None:
    with ChatServer(author) as server:
        tasks = write(tmp_path, server, tasks=6, each=2)
        assert len(tasks) == len({t.task_id for t in tasks}) == len({t.features for t in tasks}) == 6
        for task in tasks:
            assert (task.source, task.tests.framework, task.category) == ("features", "none", task.features[0][0])
            assert all(f.replace("/", " > ") in task.prompt for f in task.features)
        n = len(server.requests)
        assert n == 6
        assert write(tmp_path, server, tasks=6, each=2) == tasks
        more = write(tmp_path, server, tasks=9, each=2)
        assert len(server.requests) == n + 3
        assert {t.task_id for t in tasks} < {t.task_id for t in more}


def test_a_tree_grows_before_it_is_drawn_from(tmp_path) -> None:
    with ChatServer(author) as server:
        tasks = write(tmp_path, server, tasks=15, each=2, evolve=30)
        told, refused = manifest(tmp_path)
    assert told["counts"]["grown"] == sum(len(names) for names in told["grown"].values()) == 60
    assert any("new " in feature for task in tasks for feature in task.features)
    assert not refused
    asked = [
        r["messages"][-1]["content"] for r in server.requests if "node of the tree" in r["messages"][-1]["content"]
    ]
    assert len(asked) == len(set(asked)) == 30
    assert any("- new " in text or "> new " in text for text in asked)  # what grew is extended in turn


def test_an_answer_that_cannot_be_read_is_asked_for_again_and_then_counted(tmp_path) -> None:
    def stubborn(request: Request, n: int) -> Reply:
        text = request["messages"][-1]["content"]
        if "> a1" in text or " a2" in text:
            return answer("I would rather not.")
        return error(400, "maximum context length") if "b21" in text else author(request, n)

    with ChatServer(stubborn) as server:
        tasks = write(tmp_path, server, tasks=10, each=2, generate={"answer_retries": 2})
        told, refused = manifest(tmp_path)
    assert told["counts"]["tasks"] == len(tasks) < 10
    assert told["counts"]["tasks"] + sum(told["counts"]["refused"].values()) == 10
    assert {r.reason for r in refused} <= {"task_unreadable", "context_length"}
    unread = [
        r for r in server.requests if "> a1" in r["messages"][-1]["content"] or " a2" in r["messages"][-1]["content"]
    ]
    assert len({r["seed"] for r in unread}) == len(unread) == 3 * told["counts"]["refused"]["task_unreadable"]


def test_a_task_that_was_written_is_solved_with_tests_of_its_authors(tmp_path) -> None:
    program = "<file>solution.py</file>\n```python\ndef add(x):\n    return x + 1\n```\n"
    tests = (
        "<file>test_solution.py</file>\n```python\nimport unittest\nfrom solution import add\nclass T(unittest.TestCase):\n"
        "    def test_a(self):\n        self.assertEqual(add(1), 2)\n```\n"
    )

    def respond(request: Request, n: int) -> Reply:
        return (
            answer(program + tests)
            if "Write the program and its tests" in request["messages"][-1]["content"]
            else author(request, n)
        )

    with ChatServer(respond) as server:
        tasks = write(tmp_path, server, tasks=3, each=2)
        config = GenerateConfig(name="openai", model="m", base_url=server.url, concurrency=4)
        made = trajectories_stage(
            tmp_path / "data", tasks, build_generator(config, tmp_path / "data"), lambda: PooledSandbox(1), Limits(cpu_s=2),
            DebugConfig(samples=1, max_refinements=1, repeat=1), 0,
        )  # fmt: skip
    found = {t.task_id: t for t in made.iterate("trajectories", Trajectory)}
    assert {t.task_id: t.features for t in tasks} == {task_id: t.features for task_id, t in found.items()}
    assert {(t.status, t.tests.framework, t.source) for t in found.values()} == {
        ("solved_at_once", "unittest", "features")
    }


def test_equal_tasks_are_one(tmp_path) -> None:
    with ChatServer(lambda request, n: answer(f"<task>{TASK}</task>")) as server:
        assert len(write(tmp_path, server, tasks=5, each=2)) == 1
        told, refused = manifest(tmp_path)
    assert told["counts"]["refused"] == {"task_repeated": 4}
    assert len(refused) == 4


def test_a_model_that_writes_no_task_ends_with_what_to_change(tmp_path) -> None:
    with (
        ChatServer(lambda request, n: answer("No.")) as server,
        pytest.raises(UserError, match=r"none of 5 answers held a task.*task_unreadable: 5.*generate\.task_prompt"),
    ):
        write(tmp_path, server, tasks=5, each=2)


def test_a_server_that_fails_stops_and_the_next_run_goes_on(tmp_path) -> None:
    broken = [True]

    def respond(request: Request, n: int) -> Reply:
        return error(500) if broken[0] and n >= 3 else author(request, n)

    with ChatServer(respond) as server:
        with pytest.raises(UserError, match=r"writing tasks.*tasks are written.*run the same command again"):
            write(tmp_path, server, tasks=6, each=2, generate={"retries": 0, "concurrency": 1})
        broken[0] = False
        n = len(server.requests)
        assert len(write(tmp_path, server, tasks=6, each=2, generate={"retries": 0, "concurrency": 1})) == 6
        assert len(server.requests) == n + 3
