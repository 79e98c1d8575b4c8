"""Every target by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from executor.errors import InvalidInputError
from harness.redteam import deciders, parsers, peers
from harness.redteam.machines import guest
from harness.redteam.target import Target

if TYPE_CHECKING:
    from executor.pool.machine import VmMachine

TARGETS: Final = {target.name: target for target in (*parsers.TARGETS, *deciders.TARGETS, *peers.TARGETS)}
"""Those that need no machine."""
GUEST: Final = "guest"
NAMES: Final = (*TARGETS, GUEST)


def chosen(names: Iterable[str], machine: Callable[[], VmMachine] | None = None) -> tuple[Target, ...]:
    """The targets of those names, all without a machine for none; raises `InvalidInputError` for one nobody knows."""
    found = []
    for name in dict.fromkeys(names) or TARGETS:
        if name == GUEST and machine is not None:
            found.append(guest(machine))
        elif name in TARGETS:
            found.append(TARGETS[name])
        else:
            raise InvalidInputError(f"no target {name!r}; there are {', '.join(NAMES)}")
    return tuple(found)
