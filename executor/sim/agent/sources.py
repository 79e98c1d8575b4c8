"""The agent's own data: its capability map and its filter, read where the image takes them from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from executor.guest import launch_request
from executor.sim.kernel.filter import Filter

GUEST: Final = Path(launch_request.__file__).parent


@lru_cache(maxsize=2)
def document(name: str) -> dict[str, Any]:
    """A JSON document that lies beside the agent's code."""
    found: dict[str, Any] = json.loads((GUEST / name).read_text(encoding="utf-8"))
    return found


@lru_cache(maxsize=1)
def groups() -> Mapping[str, int]:
    """Capability -> group, from the very map the image was built with."""
    return {name: int(entry["gid"]) for name, entry in document("capability_map.json")["capabilities"].items()}


@lru_cache(maxsize=1)
def profile() -> Filter:
    """The filter of the very profile the agent installs."""
    return Filter.of(document("seccomp.json"))
