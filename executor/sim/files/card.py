"""The machine's network as its processes see it: the card, the loopback, sockets by address, names."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from executor.sim.files.nodes import error
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.network.segment import Segment


class Network:
    """What of a machine leads to others."""

    def __init__(self, segment: Segment | None) -> None:
        """`segment`: what the card is on; None where there is no card."""
        self.segment = segment
        self.aliases: set[str] = set()
        """Addresses the guest's root gave its card besides its own."""
        self._networks: dict[int, dict[tuple[int, Any], Any]] = {}

    def network(self, process: Process) -> dict[tuple[int, Any], Any]:
        """Sockets of its network namespace, by address."""
        return self._networks.setdefault(process.namespaces.net, {})

    def is_own_address(self, host: str) -> bool:
        """Whether an address is the machine's own, within the machine."""
        return host in {"", "0.0.0.0", "::", "::1", "localhost"} or host.startswith("127.")  # noqa: S104 - compared

    @staticmethod
    def loopback_up(_process: Process) -> bool:
        """The runtime brings the sandbox's loopback up; the guest's own init does not."""
        return True

    def card_of(self, process: Process) -> Segment | None:
        """The card, as far as a process's network namespace has it."""
        return None if process.namespaces.net else self.segment

    def interfaces(self, process: Process) -> list[str]:
        """Names of network interfaces."""
        return ["lo", "eth0"] if self.card_of(process) else ["lo"]

    def routed(self, process: Process) -> Segment:
        """The card that leads beyond the machine; raises ENETUNREACH where there is none."""
        found = self.card_of(process)
        if found is None:
            raise error(errno.ENETUNREACH)
        return found

    def resolve(self, process: Process, host: str | None) -> str:
        """The address of a name; error numbers from 1000 down are the resolver's."""
        if not host or host == "localhost":
            return "127.0.0.1"
        if (host.replace(".", "").isdigit() and host.count(".") == 3) or ":" in host:
            return host
        segment = self.card_of(process)
        if segment is None:
            raise OSError(1000 - 3, "name resolution")
        labels = b"".join(bytes([len(part)]) + part for part in host.encode("idna").split(b"."))
        reply = segment.named(b"\0\7\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1") or b""
        if len(reply) < 16 or reply[3] & 15 or not reply[7]:
            raise OSError(1000 - 2, "name resolution")
        return ".".join(str(one) for one in reply[-4:])
