"""Every family of calls, imported for what it registers in the table."""

from __future__ import annotations

from typing import Final

from executor.sim.calls import (
    attributes,
    by_handle,
    children,
    clocks,
    contents,
    controls,
    descriptors,
    entries,
    groups,
    identity,
    limits,
    machine,
    memory,
    mounts,
    namespaces,
    opening,
    places,
    prctl,
    privileged,
    programs,
    scheduling,
    signals,
    sockets,
    status,
    tracing,
)
from executor.sim.calls.table import ENTRIES, RAW

FAMILIES: Final = (
    attributes,
    by_handle,
    children,
    clocks,
    contents,
    controls,
    descriptors,
    entries,
    groups,
    identity,
    limits,
    machine,
    memory,
    mounts,
    namespaces,
    opening,
    places,
    prctl,
    privileged,
    programs,
    scheduling,
    signals,
    sockets,
    status,
    tracing,
)

__all__ = ["ENTRIES", "FAMILIES", "RAW"]
