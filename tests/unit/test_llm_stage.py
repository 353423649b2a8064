"""A language model as the developer: a server that plays one, the real sandbox, and the whole first stage."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_stages import digest

from iterpref.artifacts import Artifact
from iterpref.bench.chat_server import ChatServer, Reply, Request, answer, error
from iterpref.build import build_generator
from iterpref.codeflow.generate.cache import RequestCache
from iterpref.codeflow.pair_stages import pairs_stage
from iterpref.codeflow.sandbox.pool import PooledSandbox
from iterpref.codeflow.sandbox.protocol import Limits
from iterpref.codeflow.stages import trajectories_stage
from iterpref.codeflow.suites import NO_TESTS, asserts_suite
from iterpref.config import PairsConfig
from iterpref.config.codeflow import DebugConfig
from iterpref.config.generate import GenerateConfig, RoleConfig
from iterpref.errors import UserError
from iterpref.schema import Problem, SourceFile, TestSuite, Trajectory, Verdict


def task(k: int, **fields: Any) -> Problem:
    tests = asserts_suite(f"assert add(1) == {1 + k}\nassert add(-1) == {k - 1}")
    return Problem(f"add/{k}", f"Write add(x), which returns x plus {k}.", tests, **fields)


TASKS = [task(k) for k in range(4)]


def program(k: int, wrong: bool, name: str = "solution.py") -> str:
    return f"<file>{name}</file>\n```python\ndef add(x):\n    return x + {k}{' - 1' if wrong else ''}\n```\n"


def asked(request: Request) -> tuple[str, int]:
    """author | debugger | again, and the task's number."""
    texts = [m["content"] for m in request["messages"] if m["role"] == "user"]
    k = int(re.findall(r"plus (\d+)", texts[0])[0])
    return ("again" if len(texts) > 1 else "debugger" if "so far" in texts[0] else "author"), k


def developer(request: Request, n: int) -> Reply:
    """Wrong at first where the number is odd, and mends it; the same answer to the same question."""
    role, k = asked(request)
    return answer(program(k, wrong=role == "author" and k % 2 == 1))


@pytest.fixture
def serve():
    servers: list[ChatServer] = []

    def start(respond: Callable[[Request, int], Reply] = developer) -> ChatServer:
        servers.append(ChatServer(respond))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iterpref.codeflow.generate.limits.FIRST_WAIT_S", 0.01)


def build(
    data: Path,
    server: ChatServer,
    problems: list[Problem] = TASKS,
    *,
    debug: dict[str, Any] | None = None,
    **options: Any,
) -> Artifact:
    config = GenerateConfig(**{"name": "openai", "model": "m", "base_url": server.url, **options})
    rules = DebugConfig(**{"samples": 1, "max_refinements": 2, "repeat": 1, **(debug or {})})
    return trajectories_stage(
        data,
        problems,
        build_generator(config, data, rules.min_test_score is not None),
        lambda: PooledSandbox(2),
        Limits(cpu_s=2),
        rules,
        0,
    )


def rows(artifact: Artifact) -> dict[str, Trajectory]:
    return {t.task_id: t for t in artifact.read("trajectories", Trajectory)}


def test_the_model_writes_sees_its_failure_and_mends_it(tmp_path, serve) -> None:
    server = serve()
    artifact = build(tmp_path, server, price_in=1e6, price_out=0)
    found = rows(artifact)
    assert {k: t.status for k, t in found.items()} == {
        "add/0": "solved_at_once", "add/1": "solved", "add/2": "solved_at_once", "add/3": "solved",
    }  # fmt: skip
    solved = found["add/3"]
    assert [a.verdict for a in solved.iterations] == [Verdict.FAIL, Verdict.PASS]
    assert {a.tests_sha256 for a in solved.iterations} == {TASKS[3].tests.sha256}
    calls = [a.llm for a in solved.iterations]
    assert [c.role for c in calls if c] == ["author", "debugger"]
    assert all(c and c.tokens_in == 10 and c.cost == 10 and json.loads(c.params)["temperature"] == 0.8 for c in calls)
    assert solved.tests.coverage == 1.0
    counts = artifact.manifest["counts"]["llm"]
    assert (counts["answers"], counts["tokens_in"], counts["cost"], counts["refused"]) == (6, 60, 60.0, {})
    debugger = next(r for r in server.requests if asked(r) == ("debugger", 3))
    text = debugger["messages"][-1]["content"]
    assert "return x + 3 - 1" in text
    assert "case 0" in text
    assert "assert add" not in text.split("Its tests say")[0]


def test_the_second_run_and_a_lost_store_make_no_call(tmp_path, serve) -> None:
    server = serve()
    first = build(tmp_path, server)
    before = digest(first)
    n = len(server.requests)
    assert build(tmp_path, server) == first
    for path in first.folder.iterdir():
        path.unlink()
    first.folder.rmdir()
    assert digest(build(tmp_path, server)) == before
    assert len(server.requests) == n


def test_a_cache_alone_gives_the_same_data_set_again(tmp_path, serve) -> None:
    server = serve()
    first = build(tmp_path / "a", server)
    n = len(server.requests)
    cache = tmp_path / "a" / "answers.sqlite"
    again = build(tmp_path / "b", server, name="replay", cache=str(cache))
    assert digest(again) == digest(first)
    assert len(server.requests) == n
    other = rows(build(tmp_path / "c", server, name="replay", cache=str(cache), temperature=0.5))
    assert {(t.status, t.detail) for t in other.values()} == {("refused", "not_in_cache")}
    with pytest.raises(UserError, match=r"no cache of answers at .*generate\.cache=FILE"):
        build(tmp_path / "d", server, name="replay", cache="nowhere.sqlite")


def test_a_replay_that_lacks_answers_does_not_stand_in_for_the_run_that_asks(tmp_path, serve) -> None:
    server = serve()
    build(tmp_path / "a", server)
    holes = build(tmp_path / "b", server, name="replay", cache=str(tmp_path / "a" / "answers.sqlite"), temperature=0.5)
    assert {t.detail for t in rows(holes).values()} == {"not_in_cache"}
    asked = build(tmp_path / "b", server, temperature=0.5)
    assert asked.fingerprint != holes.fingerprint
    assert "refused" not in {t.status for t in rows(asked).values()}
    assert digest(asked) == digest(build(tmp_path / "c", server, temperature=0.5))


def test_a_run_that_is_extended_pays_only_for_what_is_new(tmp_path, serve) -> None:
    server = serve()
    build(tmp_path, server, TASKS[:2])
    n = len(server.requests)
    build(tmp_path, server, TASKS)
    assert Counter(asked(r)[1] for r in server.requests[n:]) == {2: 1, 3: 2}
    build(tmp_path, server, TASKS, debug={"max_refinements": 5})
    assert len(server.requests) == n + 3


def test_a_new_prompt_redoes_only_what_depends_on_it(tmp_path, serve) -> None:
    server = serve()
    build(tmp_path, server)
    n = len(server.requests)
    mine = tmp_path / "mine.jinja"
    mine.write_text(
        "{% block user %}Task: {{ prompt }} The program so far: {{ files[0].text }} {{ feedback }}{% endblock %}"
    )
    artifact = build(tmp_path, server, debugger_prompt=str(mine))
    assert [asked(r)[0] for r in server.requests[n:]] == ["debugger", "debugger"]
    assert artifact.manifest["counts"]["status"] == {"solved": 2, "solved_at_once": 2}


def test_an_answer_that_cannot_be_read_is_asked_for_again_with_the_reason(tmp_path, serve) -> None:
    def respond(request: Request, n: int) -> Reply:
        role, k = asked(request)
        return answer("I would rather not." if role == "author" else program(k, False))

    server = serve(respond)
    found = rows(build(tmp_path, server, TASKS[:1]))["add/0"]
    assert found.status == "solved_at_once"
    ((refused,),) = [a.refused for a in found.iterations]
    assert (refused.reason, refused.i, refused.llm is not None) == ("no_code", 0, True)
    assert "(no_code)" in server.requests[-1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (program(0, False, "../../etc/passwd"), "bad_file_name"),
        (program(0, False, "/etc/passwd"), "bad_file_name"),
        ("x" * 10_000_000, "answer_too_long"),
        ("```python\nx = '\x1b[2J\x00'\n```", "control_characters"),
        ("```python\nx = '\ud800'\n```", "control_characters"),
        ("", "empty_answer"),
        (program(0, False) + '<json>{"packages": ["torch"]}</json>', "package_not_offered"),
        (program(0, False, "test_solution.py"), "no_code"),
    ],
)  # fmt: skip
def test_a_hostile_answer_fails_its_own_row_and_no_other(tmp_path, serve, text: str, reason: str) -> None:
    server = serve(lambda request, n: answer(text) if asked(request)[1] == 0 else developer(request, n))
    artifact = build(tmp_path, server, TASKS[:3], answer_retries=0)
    found = rows(artifact)
    assert (found["add/0"].status, found["add/0"].detail) == ("refused", reason)
    assert [found[f"add/{k}"].status for k in (1, 2)] == ["solved", "solved_at_once"]
    assert artifact.manifest["counts"]["llm"]["refused"] == {reason: 1}


def test_a_debugger_that_goes_in_circles_is_asked_for_another_sample(tmp_path, serve) -> None:
    """At first it mends one bug with the other, for good where it is greedy."""

    def respond(request: Request, n: int) -> Reply:
        text = request["messages"][-1]["content"]
        fresh = request["temperature"] > 0 and len(server.requests) > 3
        bug = "- 1" if "+ 9" in text else "+ 9"
        return answer(f"```python\ndef add(x):\n    return x + 1{'' if fresh else bug}\n```")

    server = serve(respond)
    found = rows(build(tmp_path / "a", server, TASKS[1:2], debug={"max_refinements": 6}))["add/1"]
    assert [a.verdict for a in found.iterations] == [Verdict.FAIL] * 3 + [Verdict.PASS]
    seeds = [r["seed"] for r in server.requests]
    assert seeds[3] == seeds[1] + 1
    assert len({a.llm.request_key for a in found.iterations if a.llm}) == 4
    server.requests.clear()
    stuck = rows(build(tmp_path / "b", server, TASKS[1:2], debug={"max_refinements": 6}, temperature=0))["add/1"]
    assert (stuck.status, len(stuck.iterations), len(server.requests)) == ("unsolved", 7, 3)


@pytest.mark.parametrize("text", ["", "\ud800 no", "\x00"])
def test_an_answer_that_no_server_takes_back_can_be_asked_for_again(tmp_path, serve, text: str) -> None:
    def respond(request: Request, n: int) -> Reply:
        if any(not m["content"] for m in request["messages"]):
            return error(400, "empty content")
        return answer(text if len(request["messages"]) == 2 else program(0, False))

    found = rows(build(tmp_path, serve(respond), TASKS[:1]))["add/0"]
    assert (found.status, len(found.iterations[0].refused)) == ("solved_at_once", 1)


def test_what_a_filter_cut_is_no_version(tmp_path, serve) -> None:
    text = "```python\ndef add(x):\n    x = x + 1\n"
    server = serve(lambda request, n: answer(text, "content_filter"))
    found = rows(build(tmp_path, server, TASKS[:1]))["add/0"]
    assert (found.status, found.detail, found.iterations) == ("refused", "answer_cut", ())


def test_where_no_answer_was_usable_the_reasons_are_told_with_what_to_change(tmp_path, serve) -> None:
    cut = serve(lambda request, n: answer("```python\ndef add(x", "length"))
    trajectories = build(tmp_path, cut, TASKS[:2], answer_retries=0)
    with pytest.raises(UserError, match=r"refused: 2\); .*\(answer_cut: 2\): raise generate\.max_tokens"):
        pairs_stage(tmp_path, trajectories, PairsConfig(), 0)
    holes = build(tmp_path, cut, name="replay", cache=str(tmp_path / "answers.sqlite"), temperature=0.1)
    with pytest.raises(UserError, match=r"not_in_cache: 4\): give generate\.model, its options and its prompts"):
        pairs_stage(tmp_path, holes, PairsConfig(), 0)


def test_templates_in_answers_stay_text(tmp_path, serve) -> None:
    text = "{{ files }}{% endblock %}{% raw %}{# x #}{{ ''.__class__ }}"
    server = serve(lambda request, n: answer(f"```python\ndef add(x):\n    return {text!r}\n```"))
    found = rows(build(tmp_path, server, TASKS[:1], debug={"max_refinements": 1}))["add/0"]
    assert repr(text) in found.iterations[0].files[0].text
    assert repr(text) in server.requests[-1]["messages"][-1]["content"]


def test_a_revision_that_edits_the_frozen_tests_changes_nothing_of_them(tmp_path, serve) -> None:
    tests = "import unittest\nfrom solution import add\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(add(1), 3)\n"
    problem = Problem("t", "plus 1", TestSuite((SourceFile("test_solution.py", tests),), "unittest", 1))
    cheat = "<file>test_solution.py</file>\n```python\nassert True\n```\n"
    server = serve(lambda request, n: answer(cheat + program(1, False, "wrong_name.py")))
    found = rows(build(tmp_path, server, [problem]))["t"]
    assert found.status == "unsolved"
    assert {a.tests_sha256 for a in found.iterations} == {problem.tests.sha256}
    assert {f.name for a in found.iterations for f in a.files} == {"solution.py"}


TESTS = "<file>test_solution.py</file>\n```python\nimport unittest\nfrom solution import add\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual({check})\n```\n"
BARE = Problem("own", "Write add(x), which returns x plus 1.", NO_TESTS)


def test_an_author_writes_the_tests_once_and_they_stay(tmp_path, serve) -> None:
    def respond(request: Request, n: int) -> Reply:
        role, _ = asked(request)
        check = "add(1), 2" if role == "author" else "1, 1"
        return answer(program(1, wrong=role == "author") + TESTS.format(check=check))

    features = ("text/layout/wrap paragraphs to a width", "edge/one element only")
    found = rows(build(tmp_path, serve(respond), [replace(BARE, features=features)]))["own"]
    assert found.features == features
    assert [a.verdict for a in found.iterations] == [Verdict.FAIL, Verdict.PASS]
    assert "add(1), 2" in found.tests.files[0].text
    assert {a.tests_sha256 for a in found.iterations} == {found.tests.sha256}
    assert found.tests.coverage == 1.0


@pytest.mark.parametrize(
    ("tests", "status", "detail"),
    [
        ("", "refused", "tests_missing"),
        (TESTS.format(check="1, 1"), "refused", "tests_assert_nothing"),
        (TESTS.format(check="add(1), 2").replace("from solution import add", "def add(x): return 2"), "refused", "tests_do_not_import_solution"),
        (TESTS.format(check="add(1) is None, True"), "unfit", "stub_passes"),
    ],
)  # fmt: skip
def test_tests_that_cannot_judge_end_the_trajectory(tmp_path, serve, tests: str, status: str, detail: str) -> None:
    artifact = build(tmp_path, serve(lambda request, n: answer(program(1, False) + tests)), [BARE])
    found = rows(artifact)["own"]
    assert (found.status, found.detail, found.iterations) == (status, detail, ())


def test_tests_that_reach_too_little_are_unfit(tmp_path, serve) -> None:
    idle = "def add(x):\n    return x + 1\ndef idle(x):\n    y = x\n    z = y\n    w = z\n    return w\n"
    text = f"<file>solution.py</file>\n```python\n{idle}```\n" + TESTS.format(check="add(1), 2")
    server = serve(lambda request, n: answer(text))
    found = rows(build(tmp_path, server, [BARE], debug={"min_coverage": 0.9}))["own"]
    assert found.status == "unfit"
    assert found.detail.startswith("coverage_below: ")
    assert rows(build(tmp_path, server, [BARE]))["own"].status == "solved_at_once"


def test_a_reference_that_fails_the_authors_tests_makes_them_unfit(tmp_path, serve) -> None:
    reference = (SourceFile("solution.py", "def add(x):\n    return x + 5\n"),)
    problem = Problem("own", "Write add(x), which returns x plus 1.", NO_TESTS, reference)
    server = serve(lambda request, n: answer(program(1, False) + TESTS.format(check="add(1), 2")))
    found = rows(build(tmp_path, server, [problem]))["own"]
    assert (found.status, found.detail) == ("unfit", "reference_fails")


@pytest.mark.parametrize(
    ("scores", "status", "detail"),
    [
        ({"accuracy": 5, "effectiveness": 3, "reasonableness": 4}, "solved_at_once", ""),
        ({"accuracy": 5, "effectiveness": 2, "reasonableness": 4}, "unfit", "test_scores_below: 5, 2, 4"),
        ({"accuracy": 5, "effectiveness": 6, "reasonableness": 4}, "unfit", "judge_unreadable"),
        ({"accuracy": 5, "effectiveness": True, "reasonableness": 4}, "unfit", "judge_unreadable"),
    ],
)
def test_a_judge_scores_the_tests_of_an_author(
    tmp_path, serve, scores: dict[str, Any], status: str, detail: str
) -> None:
    def respond(request: Request, n: int) -> Reply:
        text = request["messages"][-1]["content"]
        if request["model"] == "judge":
            assert "assertEqual(add(1), 2)" in text
            (mark,) = set(re.findall(r"mark-[0-9a-f]{16}", text))
            return answer(f"<json>{json.dumps({'mark': mark, **scores})}</json>")
        return answer(program(1, False) + TESTS.format(check="add(1), 2"))

    server = serve(respond)
    artifact = build(tmp_path, server, [BARE], debug={"min_test_score": 3.0}, judge=RoleConfig(model="judge"))
    found = rows(artifact)["own"]
    assert (found.status, found.detail.partition(": <")[0][: len(detail)]) == (status, detail)
    if status != "unfit":
        assert found.tests.scores is not None
        assert found.tests.scores.to_dict() == scores
    assert {r["model"] for r in server.requests} == {"m", "judge"}


def test_each_role_may_have_a_model_of_its_own(tmp_path, serve) -> None:
    server, other = serve(), serve()
    debugger = RoleConfig(model="mender", base_url=other.url, temperature=0.1, max_tokens=99)
    found = rows(build(tmp_path, server, debugger=debugger, max_calls=6))["add/3"]
    assert [a.llm.model for a in found.iterations if a.llm] == ["m", "mender"]
    assert {asked(r)[0] for r in server.requests} == {"author"}
    assert {(r["model"], r["temperature"], r["max_tokens"], r["top_p"]) for r in other.requests} == {
        ("mender", 0.1, 99, 0.95)
    }
    with pytest.raises(UserError, match=r"max_calls=5"):  # one budget for all roles
        build(tmp_path / "b", server, debugger=debugger, max_calls=5)


def test_every_fault_of_the_server_and_every_task_is_accounted_for(tmp_path, serve) -> None:
    faults = (
        error(500), error(429), error(429, headers={"Retry-After": "0.1"}), Reply(body=b"{"), Reply(body=b'{"choices": []}'),
        answer("x" * 1000, hang_up_after=200),
    )  # fmt: skip
    seen: Counter[str] = Counter()

    def respond(request: Request, n: int) -> Reply:
        name = json.dumps(request, sort_keys=True)
        seen[name] += 1
        return faults[n % len(faults)] if seen[name] <= 2 else developer(request, n)

    server = serve(respond)
    disturbed = build(tmp_path / "a", server)
    assert digest(disturbed) == digest(build(tmp_path / "b", serve()))
    assert all(count == 3 for count in seen.values())  # two faults each, and one answer


def test_a_server_that_stays_broken_stops_the_stage_and_the_next_run_goes_on(tmp_path, serve) -> None:
    broken = [True]

    def respond(request: Request, n: int) -> Reply:
        return error(500) if broken[0] and asked(request)[1] == 2 else developer(request, n)

    server = serve(respond)
    with pytest.raises(
        UserError, match=r"failed in 1 of 4 trajectories.*http_500: 1.*3 of 4 trajectories.*debug\.lost=drop"
    ):
        build(tmp_path, server, retries=1)
    partial = build(tmp_path / "partial", server, retries=1, debug={"lost": "drop"})
    assert partial.manifest["counts"]["lost"] == {"http_500": 1}
    assert sum(partial.manifest["counts"]["status"].values()) == 3
    broken[0] = False
    n = len(server.requests)
    assert build(tmp_path, server, retries=1).manifest["counts"]["trajectories"] == 4
    assert len(server.requests) == n + 1


@pytest.mark.parametrize(("reply", "option"), [(error(404), "generate.model"), (error(401), "generate.key_env")])
def test_wrong_settings_stop_at_once(tmp_path, serve, reply: Reply, option: str) -> None:
    server = serve(lambda request, n: reply)
    problems = [task(k) for k in range(50)]
    with pytest.raises(UserError, match=rf"{option}.*0 of 50 trajectories are finished"):
        build(tmp_path, server, problems, concurrency=2)
    assert len(server.requests) <= 2


@pytest.mark.parametrize("fault", [error(401, "expired"), error(402, "no credit left"), error(404, "no such model")])
def test_what_goes_wrong_for_good_in_the_middle_costs_no_row_and_no_answer(tmp_path, serve, fault: Reply) -> None:
    wrong = [True]
    server = serve(lambda request, n: fault if wrong[0] and n >= 3 else developer(request, n))
    with pytest.raises(UserError, match=r"generate\..*of 4 trajectories are finished and kept"):
        build(tmp_path / "a", server, concurrency=1)
    asked_for = len(server.requests)
    wrong[0] = False
    assert digest(build(tmp_path / "a", server)) == digest(build(tmp_path / "calm", serve()))
    assert len(server.requests) - asked_for == 3  # of the six answers, those that had not come


def test_a_disk_that_is_full_stops_the_stage_and_room_lets_it_go_on(tmp_path, serve, monkeypatch) -> None:
    kept = RequestCache.put
    room = [2]

    def put(self: RequestCache, *args: Any) -> Any:
        if room[0] == 0:
            self._run("PRAGMA max_page_count = 1")  # SQLite's own disk, which is then full
            self._run("CREATE TABLE filler AS SELECT randomblob(1000000)")
        room[0] -= 1
        return kept(self, *args)

    monkeypatch.setattr(RequestCache, "put", put)
    server = serve()
    with pytest.raises(OSError, match="full"):
        build(tmp_path / "a", server, concurrency=1)
    room[0] = -1
    assert digest(build(tmp_path / "a", server)) == digest(build(tmp_path / "calm", serve()))
    assert len(server.requests) <= 6 + 1  # one call's answer found no room


def test_a_budget_stops_the_stage_and_a_higher_one_goes_on(tmp_path, serve) -> None:
    server = serve()
    with pytest.raises(UserError, match=r"generate\.max_calls=3 is used up.*of 4 trajectories are finished"):
        build(tmp_path, server, max_calls=3)
    assert len(server.requests) == 3
    done = build(tmp_path, server, max_calls=100)
    assert len(server.requests) == 6
    assert digest(done) == digest(build(tmp_path / "calm", serve()))


def test_sandbox_and_server_work_at_the_same_time(tmp_path, serve) -> None:
    server = serve(lambda request, n: answer(program(asked(request)[1], False), delay_s=0.2))
    build(tmp_path, server, [task(k) for k in range(24)], concurrency=8)
    assert server.busiest == 8


def test_a_prompt_of_ones_own_that_is_wrong_names_its_option(tmp_path, serve) -> None:
    server = serve()
    for text, match in (
        (
            "{% block user %}{{ nope }}{% endblock %}",
            r"generate\.author_prompt.*'nope' is undefined.*the variables are.*prompt",
        ),
        ("{% block user %}{{ ", r"generate\.author_prompt, line 1"),
        ("no block", r"has no \{% block user %\}"),
    ):
        (tmp_path / "p.jinja").write_text(text)
        with pytest.raises(UserError, match=match):
            build(tmp_path, server, author_prompt=str(tmp_path / "p.jinja"))
    with pytest.raises(UserError, match=r"generate\.author_prompt=nowhere"):
        build(tmp_path, server, author_prompt="nowhere")
    with pytest.raises(UserError, match=r"generate\.packages: 'no_such_package' is not installed"):
        build(tmp_path, server, packages=["no_such_package"])
