"""Sandboxes made before anybody asked for one, in the machine that clones are made of. Rim.

Making a container costs an emulated guest a second; what lies in it depends on little of a lease. So the golden machine
makes one for each of the usual terms (`USUAL`), its launcher waiting, and every clone wakes up with them. A lease takes
one only when its terms are exactly those it was made for, but for what can be set from outside afterwards: the limits
and the host name. The others are destroyed before the lease's first command. Anything unusual is made as it is asked
for; a VM that was weakened takes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from executor.guest import kernel, sandbox_plan
from executor.guest.capability import Programs
from executor.guest.container import Container
from executor.guest.ground import make_container, make_root, unmake_root
from executor.guest.sandbox_plan import TASK_UID, Limits, Terms
from executor.guest.scope import Writable, writable
from executor.guest.workspace import Workspace, quota_for

WORD: Final = "cordon.spares"
"""On the kernel's command line: this machine is to be cloned, make them."""
USUAL: Final[tuple[tuple[str, ...], ...]] = (("base:execute",), ("base:execute", "dev:python"))
"""Capabilities of the tasks that come most; each list costs the golden machine a container, and a clone its removal."""
PLACES: Final = ("/workspace/**",)
LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Spare:
    """One of them."""

    number: int
    terms: Terms
    places: tuple[Writable, ...]
    workspace: Workspace
    container: Container

    def fits(self, terms: Terms, places: Sequence[Writable]) -> bool:
        """Whether it is what `terms` ask for, but for what `fit` sets."""
        asked = replace(terms, hostname=self.terms.hostname, limits=self.terms.limits)
        same_tmp = sandbox_plan.tmp_mib(terms.limits) == sandbox_plan.tmp_mib(self.terms.limits)
        return asked == self.terms and tuple(places) == self.places and same_tmp

    def fit(self, terms: Terms) -> None:
        """Give it the host name and the limits of `terms`."""
        self.container.name(terms.hostname)
        if terms.limits != self.terms.limits:
            self.workspace.limit(quota_for(terms.limits.disk_quota_mb))
            self.container.limit(sandbox_plan.control_files(terms.limits), sandbox_plan.lease_rlimits(terms.limits))

    def remove(self) -> None:
        """Take it down."""
        self.container.end()
        self.container.remove()
        self.workspace.remove()


class Spares:
    """Those there are. `take` and `clear` leave none."""

    def __init__(self) -> None:
        """None yet."""
        self._made: list[Spare] = []

    def make(self, programs: Programs, seccomp: Mapping[str, Any]) -> None:
        """Make one for each of the usual terms."""
        kernel.harden_filters()  # before the first filter is compiled
        places = tuple(writable(PLACES))
        for number, capabilities in enumerate(USUAL, 1):
            terms = Terms(
                capabilities=frozenset(capabilities),
                groups=programs.gids(capabilities),
                exec_lists=programs.exec_lists(capabilities),
                trees=tuple(place.path for place in places),
                limits=LIMITS,
                hostname="cordon",
            )
            if not self._made:
                make_root(terms)
            workspace = Workspace(number, places, quota_for(LIMITS.disk_quota_mb), TASK_UID)
            container = make_container(number * 1000, terms, workspace.path, seccomp)
            self._made.append(Spare(number, terms, places, workspace, container))

    @property
    def highest(self) -> int:
        """The highest number in use; 0 for none."""
        return max((spare.number for spare in self._made), default=0)

    def take(self, terms: Terms, places: Sequence[Writable]) -> Spare | None:
        """The one that fits, fitted; the others go. Without any, what they stood on goes too."""
        found = next((spare for spare in self._made if spare.fits(terms, places)), None)
        if found is None:
            self.clear()
            return None
        self._made.remove(found)
        while self._made:
            self._made.pop().remove()
        found.fit(terms)
        return found

    def clear(self) -> None:
        """Take all of them down."""
        if self._made:
            while self._made:
                self._made.pop().remove()
            unmake_root()
