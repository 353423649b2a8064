"""An export goes to the hub when it is whole, to a place that is ours, and what stands in the way is told first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

from iterpref import export as command
from iterpref.artifacts import publish
from iterpref.codeflow.export import MARKER, export_pairs
from iterpref.codeflow.push import Hub
from iterpref.config import Config
from iterpref.errors import UserError
from iterpref.schema import PreferencePair


class FakeApi:
    """The hub as far as we use it: records what would go up."""

    def __init__(self, files: dict[str, set[str]] | None = None, fault: Exception | None = None, role: str = "write"):
        self.repos, self.fault, self.role = files or {}, fault, role
        self.calls: list[str] = []
        self.uploaded: dict[str, bytes] = {}

    def whoami(self) -> dict[str, Any]:
        self.calls.append("whoami")
        if self.fault:
            raise self.fault
        return {"name": "ada", "orgs": [{"name": "lab"}], "auth": {"accessToken": {"role": self.role}}}

    def repo_exists(self, repo: str, repo_type: str) -> bool:
        return repo in self.repos

    def file_exists(self, repo: str, name: str, repo_type: str) -> bool:
        return name in self.repos[repo]

    def create_repo(self, repo: str, repo_type: str, private: bool, exist_ok: bool) -> str:
        self.calls.append(f"create {repo} {repo_type} {'private' if private else 'public'}")
        self.repos.setdefault(repo, set())
        return f"https://hub.example/datasets/{repo}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, **options: Any) -> None:
        self.calls.append(f"upload {repo_id} {options['delete_patterns']}")
        self.uploaded = {str(p.relative_to(folder_path)): p.read_bytes() for p in folder_path.rglob("*") if p.is_file()}


def refusal(status: int) -> HfHubHTTPError:
    error = HfHubHTTPError.__new__(HfHubHTTPError)
    Exception.__init__(error, f"{status} Client Error")
    error.response = SimpleNamespace(status_code=status)
    return error


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    pairs = [
        PreferencePair(f"p{i}", f"t{i}", "train", "", "do", "good", f"bad {i}", -1, -1, "", (0,), (0,), (), (), "lcs", "literal", False)
        for i in range(3)
    ]  # fmt: skip
    manifest = {
        "source": {"name": "s.jsonl", "sha256": "0"}, "parsed_by": "Python", "counts": {"rows": 3, "pairs": 3, "dropped": {}},
        "config": {"pairs": {"diff": "lcs", "empty_d_minus": "literal", "max_d_minus_lines": 20, "drop_comment_only": True,
                             "drop_ast_equal": True, "contamination": [], "near_duplicate": None}},
    }  # fmt: skip
    made = publish(tmp_path / "pairs", "k", {"pairs": (PreferencePair, pairs)}, manifest)
    return export_pairs(made, None, tmp_path / "out", "auto", "lab/bugs")


def test_the_whole_folder_goes_up_in_one_commit(exported: Path) -> None:
    api = FakeApi()
    hub = Hub("lab/bugs", True, api)
    hub.check()
    assert hub.push(exported) == "https://hub.example/datasets/lab/bugs"
    assert api.calls == ["whoami", "create lab/bugs dataset private", "upload lab/bugs data/*.parquet"]
    assert set(api.uploaded) == {"README.md", "data/train.parquet", MARKER}
    assert b'load_dataset("lab/bugs")' in api.uploaded["README.md"]


@pytest.mark.parametrize("harm", ["changed", "foreign", "no export"])
def test_nothing_goes_up_that_is_not_whole(exported: Path, harm: str) -> None:
    if harm == "changed":
        (exported / "data/train.parquet").write_bytes(b"half")
    elif harm == "foreign":
        (exported / "notes.txt").write_text("mine")
    else:
        exported = exported.parent / "nothing"
    api = FakeApi()
    with pytest.raises(UserError, match=r"came or changed after|holds no finished export"):
        Hub("lab/bugs", False, api).push(exported)
    assert api.calls == []


@pytest.mark.parametrize(
    ("repo", "api", "words"),
    [
        ("bugs", FakeApi(), "OWNER/NAME was expected, such as YOU/bugs"),
        ("a/b/c", FakeApi(), "OWNER/NAME was expected"),
        ("lab/bad name", FakeApi(), "OWNER/NAME was expected"),
        ("eve/bugs", FakeApi(), "the token is ada's, who may write for ada, lab"),
        ("ada/bugs", FakeApi(role="read"), "may only read; log in with `hf auth login`"),
        ("ada/bugs", FakeApi({"ada/bugs": {"README.md"}}), "is no export of ours"),
        ("ada/bugs", FakeApi(fault=LocalTokenNotFoundError("none")), "nobody is logged in; log in with `hf auth login`"),
        ("ada/bugs", FakeApi(fault=OfflineModeIsEnabled("off")), "HF_HUB_OFFLINE is set"),
        ("ada/bugs", FakeApi(fault=refusal(401)), "the token is refused"),
        ("ada/bugs", FakeApi(fault=refusal(403)), "may not write there"),
        ("ada/bugs", FakeApi(fault=refusal(500)), "run the same command again"),
        ("ada/bugs", FakeApi(fault=RuntimeError("no route")), "cannot be reached (RuntimeError: no route)"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_told_with_the_remedy(repo: str, api: FakeApi, words: str) -> None:
    with pytest.raises(UserError) as told:
        Hub(repo, True, api).check()
    assert words in str(told.value)
    assert str(told.value).startswith(f"export.push_to_hub={repo}: ")


def test_an_export_of_ours_may_be_replaced() -> None:
    Hub("ada/bugs", True, FakeApi({"ada/bugs": {MARKER}})).check()


def test_the_command_asks_the_hub_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: FakeApi(fault=LocalTokenNotFoundError("none")))
    monkeypatch.setattr("iterpref.data.stages.prepare_pairs", lambda config: pytest.fail("work was begun"))
    config = Config()
    config.export.path, config.export.push_to_hub = str(tmp_path / "out"), "ada/bugs"
    with pytest.raises(UserError, match="nobody is logged in"):
        command.export(config)
