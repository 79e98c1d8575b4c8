"""Requests for `cordon decide`, and what it says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cordon.__main__ import main


@dataclass(frozen=True)
class Said:
    """How a run of the command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was printed, read as JSON."""
        return json.loads(self.out)


@pytest.fixture
def decide(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs `cordon decide` with the words given."""

    def run(*words: str) -> Said:
        try:
            status = main(["decide", *words])
        except SystemExit as end:  # argparse
            status = int(str(end.code))
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run
