"""Programs a lease brings along: stored where no task can write, executable there and nowhere else. Rim.

The lease names each by its digest. What arrives is hashed here, outside the sandbox, and becomes executable only when
it is what was named; until all are complete nothing is started.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final

from executor.guest.capability import Identity
from executor.guest.digest import sha256
from executor.guest.errors import DeniedError

PLACE: Final = "/artefact"
"""Where a task finds them; a folder of the image, empty there."""
CAPABILITY: Final = "exec:artefact"
MAX_BYTES: Final = 8 * 1024 * 1024
"""Of all artefacts together; the policy's bound is the same."""
_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_SIGNS: Final = frozenset("._-")


def named_by(lease: Iterable[tuple[str, str]], capabilities: frozenset[str]) -> dict[str, str]:
    """Name -> hex SHA-256 of the artefacts that `lease` names.

    Raises `DeniedError` for names or digests that are none, for one name given twice, or without the capability.
    """
    pairs = tuple(lease)
    named = dict(pairs)
    if len(named) != len(pairs):
        raise DeniedError("guest.artefact_name", "two artefacts of one name")
    if named and CAPABILITY not in capabilities:
        raise DeniedError("guest.capability_not_granted", f"an artefact needs {CAPABILITY}")
    for name, digest in named.items():
        plain = 1 <= len(name) <= 64 and name[0] in _LETTERS and set(name) <= _LETTERS | _SIGNS
        if not plain or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise DeniedError("guest.artefact_name", f"no plain name with a digest: {name!r:.80}")
    return named


class Artefacts:
    """The artefacts of one lease."""

    def __init__(self, base: str, named: Mapping[str, str], *, checked: bool = True) -> None:
        """`base`: the lease's own folder on the scratch disk; `named`: name -> hex SHA-256 (see `named_by`).

        `checked` False takes the comparison with the digest away: a drill.
        """
        self._checked: Final = checked
        self.path: Final = f"{base}/artefact"
        self._named: Final = dict(named)
        self._open: tuple[str, int] | None = None
        self._digest = sha256()
        self._received = 0
        self.identities: dict[Identity, str] = {}
        """Device and inode of those that are complete."""
        if named:
            os.makedirs(self.path, 0o755, exist_ok=True)  # noqa: PTH103 - pathlib costs 60 ms of boot

    @property
    def missing(self) -> list[str]:
        """Names of those that have not come yet."""
        return sorted(set(self._named) - set(self.identities.values()))

    def put(self, path: str, data: bytes, *, last: bool) -> tuple[int, str] | None:
        """Append a piece to the artefact at `path`; after the last its size and digest.

        Raises `DeniedError` for a name that the lease does not have, or bytes that are not the ones it names.
        """
        name = path.removeprefix(f"{PLACE}/")
        if name not in self._named or name in self.identities.values():
            self._abandon()
            raise DeniedError("guest.artefact_name", f"the lease names no artefact {path!r:.120} that is still to come")
        if self._open is None or self._open[0] != name:
            self._abandon()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._open = (name, os.open(f"{self.path}/{name}", flags, 0o600))
            self._digest = sha256()
        self._received += len(data)
        if self._received > MAX_BYTES:
            self._abandon()
            raise DeniedError("guest.artefact_size", f"the artefacts are over {MAX_BYTES} bytes")
        return self._append(name, self._open[1], data, last=last)

    def _append(self, name: str, handle: int, data: bytes, *, last: bool) -> tuple[int, str] | None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
        except OSError as error:
            self._abandon()
            raise DeniedError("guest.put_failed", f"{PLACE}/{name}: {error.strerror}") from error
        self._digest.update(data)
        if not last:
            return None
        found = self._digest.hexdigest()
        if self._checked and found != self._named[name]:
            self._abandon()
            raise DeniedError("guest.artefact_digest", f"{PLACE}/{name} is not what the lease names")
        os.fchmod(handle, 0o555)
        facts = os.fstat(handle)
        os.close(handle)  # before anybody may execute it: a file open for writing cannot be
        self._open = None
        self.identities[facts.st_dev, facts.st_ino] = name
        return facts.st_size, found

    def _abandon(self) -> None:
        """Nothing half received stays."""
        if self._open is not None:
            name, handle = self._open
            os.close(handle)
            os.unlink(f"{self.path}/{name}")  # noqa: PTH108 - pathlib costs 60 ms of boot
            self._open = None
