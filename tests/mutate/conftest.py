"""A real OPA, and small policy directories copied so that a test may change them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.policy import find_opa
from harness.policydir import OpaTool

CASES = Path(__file__).parent / "cases"


@pytest.fixture(scope="session")
def opa() -> OpaTool:
    return OpaTool(find_opa())


@pytest.fixture
def case(tmp_path: Path) -> Callable[[str], Path]:
    """Copies one of tests/mutate/cases to a directory of the test's own."""

    def copied(name: str) -> Path:
        return Path(shutil.copytree(CASES / name, tmp_path / name))

    return copied
