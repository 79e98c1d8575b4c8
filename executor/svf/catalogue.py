"""The catalogue of event types: data in catalogue.yaml, checked cheaply on every event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import jsonschema_rs

from executor import yaml_text
from executor.errors import MisuseError

_SCHEMA: Final = "cordon.svf.catalogue/1"


@dataclass(frozen=True, slots=True)
class EventType:
    """One type: who may record it, which ids it needs, what its data looks like."""

    name: str
    what: str
    actors: frozenset[str]
    needs: tuple[str, ...]
    data_schema: Mapping[str, Any]
    fits: Callable[[Any], bool]

    @property
    def anybody(self) -> bool:
        """Whether any requester or person may record it."""
        return "*" in self.actors

    def explain(self, data: Mapping[str, Any]) -> str:
        """Why `data` does not fit; the slow validator words it better than the fast one."""
        from executor import misfit  # noqa: PLC0415 - see there

        error = misfit.best(self.data_schema, data)
        return f"data{error.json_path[1:]}: {error.message[:200]}" if error else "data does not fit"


def _load() -> dict[str, EventType]:
    text = resources.files("executor.svf").joinpath("catalogue.yaml").read_text("utf-8")
    raw = yaml_text.load(text)
    types = {}
    for name, entry in raw["types"].items():
        schema = {"type": "object", **entry["data"]}
        types[name] = EventType(
            name=name,
            what=entry["what"],
            actors=frozenset(entry["actors"]),
            needs=tuple(entry["needs"]),
            data_schema=schema,
            fits=jsonschema_rs.validator_for(schema).is_valid,
        )
    return types


TYPES: Final[Mapping[str, EventType]] = _load()


def event_type(name: str) -> EventType:
    """The type called `name`; raises `MisuseError` with the near ones."""
    found = TYPES.get(name)
    if found is None:
        family = name.partition(".")[0]
        near = [other for other in TYPES if other.startswith(f"{family}.")] or sorted(
            {other.partition(".")[0] for other in TYPES}
        )
        raise MisuseError(f"no event type {name!r:.100}; there are {', '.join(near)}")
    return found
