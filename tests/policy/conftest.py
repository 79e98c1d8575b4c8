"""Requests and engines the policy tests share; every engine is a real OPA."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.intent import Command, Intent
from executor.policy import DecisionRequest, Facts, PolicyEngine, Review, default_policies_dir, find_opa


@pytest.fixture(scope="session")
def opa() -> Path:
    """The OPA under test; there is no test without one."""
    return find_opa()


@pytest.fixture(scope="session")
def policies() -> Path:
    """The checkout's policies."""
    return default_policies_dir()


@pytest.fixture(autouse=True, scope="module")
def _runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sockets in a folder of these tests alone: nobody else's OPA is swept, and nobody after them works there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORDON_RUNTIME", str(tmp_path_factory.mktemp("r")))
        yield


@pytest.fixture(scope="session")
def hello() -> DecisionRequest:
    """Hello, Staging."""
    return DecisionRequest(
        Intent("i-1", "cbo", (Command(("echo", "Hello, Staging")),)), Facts(reviews=(Review("cp14", "PASS"),))
    )


@pytest.fixture(scope="module")
def engine(policies: Path) -> Iterator[PolicyEngine]:
    """An engine on the checkout's policies; tests that hurt theirs make one of their own."""
    with PolicyEngine(policies) as running:
        yield running


@pytest.fixture
def toy(tmp_path: Path, policies: Path) -> Path:
    """A policy of one rule that answers as `answer.json` beside it says; for answers the real policy never gives."""
    root = tmp_path / "toy"
    (root / "cordon").mkdir(parents=True)
    (root / "schemas").mkdir()
    (root / "schemas" / "input.schema.json").write_bytes((policies / "schemas" / "input.schema.json").read_bytes())
    return root
