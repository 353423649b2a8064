"""docs/examples/powers_benchmark.py, by the command: samples are scored without a model."""

import json
from pathlib import Path

import pytest


def test_samples_are_scored_by_the_evaluate_command(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iterpref.evaluate import main
    from iterpref.overrides import config_groups

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["x"])
    programs = {2: "return n * n", 3: "return n * n * n", 5: "return n * n"}
    rows = [{"task_id": f"powers/{e}", "solution": f"def power(n):\n    {body}\n"} for e, body in programs.items()]
    Path("samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    main([
        "--config-dir", str(examples / "conf"), f"plugins=[{examples / 'powers_benchmark.py'}]", "benchmark=powers",
        "samples=samples.jsonl", "paths.run=scores",
    ])  # fmt: skip
    (scores,) = [json.loads(path.read_text()) for path in Path().rglob("scores.json")]
    assert scores["parts"]["base"]["pass@1"]["mean"] == pytest.approx(2 / 3)
    assert "powers" not in config_groups()["benchmark"]  # the folder is that command's alone
