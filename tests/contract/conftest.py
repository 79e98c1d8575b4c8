"""One executor for each engine; every test of the contract runs on both."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from executor.api import Request
from executor.intent import Command, Intent
from executor.policy import default_policies_dir
from executor.service import LocalExecutor, open_executor

Ask = Callable[..., Request]


@pytest.fixture(scope="session", params=["sim", pytest.param("tcg", marks=pytest.mark.vm)])
def executor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """An executor of its own with the keys of drills."""
    state = tmp_path_factory.mktemp(f"contract-{request.param}")
    opened = open_executor(request.param, state=state, policies=default_policies_dir(), drill=True)
    yield opened
    opened.close()
    opened.close()  # silent: part of the contract
    assert not opened.statistics()["machines"]["alive"]


@pytest.fixture
def ask() -> Ask:
    """Makes a request for one command (or several, a list each)."""

    def make(*argv: Any, **options: Any) -> Request:
        commands = argv if argv and isinstance(argv[0], list) else (list(argv),)
        asked = {name: options.pop(name) for name in tuple(options) if name in Intent.__dataclass_fields__}
        asked.setdefault("capabilities", ("base:execute",))
        intent = Intent(
            f"drill-contract-{uuid.uuid4().hex}", "drill", tuple(Command(tuple(one)) for one in commands), **asked
        )
        return Request(intent, **options)

    return make
