"""The benchmark suite runs as it says: one figure's shape, and what happens to a module that fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench.__main__ as suite
from bench.figure import spread

VALUES = st.lists(st.floats(0, 1e9), min_size=1, max_size=50)


@given(VALUES)
def test_percentiles_are_measured_values_in_order(values: list[float]) -> None:
    """min <= p50 <= p95 <= p99 <= max, and n counts the values."""
    figure = spread("name", "ms", values)
    ordered = [figure[key] for key in ("min", "p50", "p95", "p99", "max")]
    assert ordered == sorted(ordered)
    assert figure["n"] == len(values)


def test_a_ratio_names_what_it_is_a_ratio_to() -> None:
    """The slower figure over this one, by medians."""
    slow = spread("slow", "ms", [10.0, 20.0, 30.0])
    assert {"ratio_to": "slow", "ratio": 10.0}.items() <= spread("fast", "ms", [2.0], against=slow).items()


def test_a_module_that_fails_is_named_and_the_others_still_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, the reason in the summary, the good module's figure beside it."""
    package = tmp_path / "bench"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bad.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    good = [{"name": "x", "unit": "ms", "n": 1, "p50": 1.0}]
    (package / "good.py").write_text(f"print({json.dumps(json.dumps(good))})\n", encoding="utf-8")
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    target = tmp_path / "summary.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--output", str(target)])
    assert suite.main() == 1
    summary = json.loads(target.read_text(encoding="utf-8"))
    assert summary["failed"] == {"bad": "ended with status 3"}
    assert [figure["name"] for figure in summary["figures"]] == ["x"]
    assert "bad: ended with status 3" in capsys.readouterr().out


def test_an_unknown_name_is_wrong_use() -> None:
    """Exit status 2, and the names there are."""
    command = [sys.executable, "-m", "bench", "nonsense"]
    child = subprocess.run(command, cwd=suite.ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 2
    assert "there are " in child.stderr
