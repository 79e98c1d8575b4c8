"""Programs a lease brings along: executor/guest/artefact.py on the modelled disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from executor.guest import artefact
from executor.guest.errors import DeniedError
from executor.intent import FileIn
from executor.sim.files.nodes import file, folder
from executor.sim.files.world import World


class Artefacts:
    """Programs a lease brings along: executor/guest/artefact.py on the modelled disk."""

    def __init__(self, world: World, named: Mapping[str, str], *, checked: bool) -> None:
        self._named, self._checked = named, checked
        self._received = 0
        self.complete: dict[int, str] = {}
        if named:
            self._folder = folder(folder(world.scratch.root, "1", 0o700), "artefact", 0o755)

    @property
    def missing(self) -> list[str]:
        """Names of those that have not come yet."""
        return sorted(set(self._named) - set(self.complete.values()))

    def put(self, given: FileIn) -> None:
        """Store one; raises `DeniedError`."""
        name = given.path.removeprefix(f"{artefact.PLACE}/")
        if name not in self._named or name in self.complete.values():
            raise DeniedError(
                "guest.artefact_name", f"the lease names no artefact {given.path!r:.120} that is still to come"
            )
        self._received += len(given.content)
        if self._received > artefact.MAX_BYTES:
            raise DeniedError("guest.artefact_size", f"the artefacts are over {artefact.MAX_BYTES} bytes")
        if self._checked and hashlib.sha256(given.content).hexdigest() != self._named[name]:
            raise DeniedError("guest.artefact_digest", f"{given.path} is not what the lease names")
        self.complete[id(file(self._folder, name, given.content, 0o555))] = name
