"""The project's own policies, copied so that a test may change them, and recordings of what they decide."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from executor.intent import Intent
from executor.policy import Budget, DecisionRequest, Facts, Host, Review, default_policies_dir, find_opa
from harness.policydir import OpaTool
from harness.replay.bulk import Answer, BulkDecider

Json = dict[str, Any]
MATRIX = Path("cordon/rules/matrix/data.yaml")


def document(number: int, **changes: Any) -> Json:
    """The policy input of a small request; `changes` replace fields of the intent."""
    intent = {
        "intent_id": f"intent-{number}",
        "requester": "cbo",
        "capabilities": ["base:execute", "dev:python"],
        "commands": [{"argv": ["python3", f"job{number}.py"]}],
        **changes,
    }
    facts = Facts(reviews=(Review("cp14", "PASS"),), budget=Budget(1000), host=Host())
    return DecisionRequest(Intent.parse(intent), facts).document(now=1_700_000_000 + number)


def event(data: Json, *, kind: str = "policy_event.DECIDED", seq: int = 1) -> str:
    """An SVF line as the executor writes it."""
    record = {"actor": "cp16", "data": data, "prev": "0" * 64, "seq": seq, "type": kind}
    return json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n"


def write_log(path: Path, documents: Iterable[Json], answers: Iterable[Answer]) -> Path:
    """A trail that holds `answers` as decided."""
    pairs = zip(documents, answers, strict=True)
    path.write_text("".join(event({"input": one, "decision": answer}) for one, answer in pairs), "utf-8")
    return path


@pytest.fixture(scope="session")
def opa() -> OpaTool:
    """The OPA program."""
    return OpaTool(find_opa())


@pytest.fixture(scope="session")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's policies; not to be changed."""
    return Path(shutil.copytree(default_policies_dir(), tmp_path_factory.mktemp("own") / "policies"))


@pytest.fixture
def changed(policies: Path, tmp_path: Path) -> Callable[[Callable[[Any], None]], Path]:
    """A copy of the policies with the capability matrix edited by the function given."""

    def edited(edit: Callable[[Any], None]) -> Path:
        copy = Path(shutil.copytree(policies, tmp_path / "changed"))
        value = yaml.safe_load((copy / MATRIX).read_text("utf-8"))
        edit(value)
        (copy / MATRIX).write_text(yaml.safe_dump(value), "utf-8")
        return copy

    return edited


@pytest.fixture(scope="session")
def recorded(policies: Path) -> Callable[[list[Json]], list[Answer]]:
    """What the project's policies decide."""

    def decided(documents: list[Json]) -> list[Answer]:
        with BulkDecider(policies) as decider:
            return decider.answers(documents)

    return decided
