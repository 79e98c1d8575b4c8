"""The published JSON Schema of scenarios: the one statement of which fields there are and what they may hold."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

SCENARIO: Final = "scenario.schema.json"
BREAKOUTS: Final = "breakouts.schema.json"
"""Batches of break-out attempts; it refers to the other."""
PROCEDURE: Final = "procedure.schema.json"
"""Drills that are no single request; it refers to the scenarios' as well."""
LOAD: Final = "load.schema.json"
"""Loads for `cordon simulate`."""
STUDY: Final = "study.schema.json"
"""Loads with what must come of them."""


def text(name: str = SCENARIO) -> str:
    """The schema file as published, for editors and `cordon schema`."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def load(name: str = SCENARIO) -> dict[str, Any]:
    """The schema as data. Do not change what is returned: it is shared."""
    schema: dict[str, Any] = json.loads(text(name))
    return schema


def choices(definition: str) -> tuple[tuple[str, str], ...]:
    """The values of an enumeration in `$defs` with what each means, in published order."""
    entry = load()["$defs"][definition]
    return tuple(zip(entry["enum"], entry["x-meaning"], strict=True))
