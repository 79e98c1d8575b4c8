"""A policy small enough to see every test's part in it, and edits to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

RULES = """\
package gate

default allow := false

allow if {
	input.size < data.gate.max_size
	input.name != "mallory"
}
"""
TESTS = """\
package gate_test

import data.gate

test_largest_allowed if gate.allow with input as {"size": 9, "name": "alice"}

test_too_large if not gate.allow with input as {"size": 10, "name": "alice"}
"""
Edit = Callable[[Path], None]


def change(path: str, old: str, new: str) -> Edit:
    """Replaces text in a file that has it."""

    def edit(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))

    return edit


LOOSER = change("gate/gate.rego", '\tinput.name != "mallory"\n', "")
"""What no test of it notices."""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The policy directory."""
    base = tmp_path / "base"
    (base / "gate").mkdir(parents=True)
    (base / "gate/gate.rego").write_text(RULES)
    (base / "gate/gate_test.rego").write_text(TESTS)
    (base / "gate/data.yaml").write_text("max_size: 10\nspare: 1\n")
    return base
