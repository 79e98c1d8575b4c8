"""A service on free ports for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bridge.stand import Stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """A running service with one worker."""
    made = Stand(tmp_path).open()
    yield made
    made.close()
