"""Sockets: within the machine, and through its card, where it has one (executor/sim/calls/wire.py)."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls import wire
from executor.sim.calls.table import call, raw
from executor.sim.calls.waiting import waiting
from executor.sim.files.nodes import Node, error
from executor.sim.kernel.ends import UnmodelledError, WaitError
from executor.sim.kernel.process import OpenFile, Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

UNIX, INET, INET6, NETLINK, PACKET = 1, 2, 10, 16, 17
STREAM, DGRAM, RAW = 1, 2, 3
LOW_PORTS: Final = 1024
BUFFER: Final = 212992
_LOOPBACK: Final = ("127.", "::1", "localhost")


@dataclass(eq=False, slots=True)
class Socket:
    """One socket."""

    family: int
    kind: int
    network: dict[tuple[int, Any], Socket]
    """Listeners and bound sockets of its network namespace, by family and address."""
    peer: Socket | None = None
    buffer: bytearray = field(default_factory=bytearray)
    packets: deque[tuple[bytes, Any]] = field(default_factory=deque)
    waiting: deque[Socket] = field(default_factory=deque)
    address: Any = None
    listening: bool = False
    closed: bool = False
    ended: bool = False
    """The other side sends no more."""
    protocol: int = 0
    options: dict[tuple[int, int], Any] = field(default_factory=dict)
    remote: tuple[str, int] | None = None
    """Whom it is connected to beyond the machine."""
    server: Callable[[bytes], bytes] | None = None
    """Who speaks there."""
    failed: int = 0
    """What the next call is told: an error that came as a packet."""
    card: str = ""
    """The card that a packet socket listens on."""
    asked: bool = False
    """Whether its first packet has gone out."""

    def close(self) -> None:
        """Let go."""
        self.closed = True
        if self.peer is not None:
            self.peer.ended = True
        for key, bound in list(self.network.items()):
            if bound is self:
                del self.network[key]


def socket_of(p: Process, number: int) -> Socket:
    """The socket behind a descriptor; raises ENOTSOCK."""
    opened = p.file(number)
    if opened.kind != "socket":
        raise error(errno.ENOTSOCK)
    found: Socket = opened.extra
    return found


def _install(k: Kernel, p: Process, made: Socket) -> int:
    node = Node(k.world.sockets, stat.S_IFSOCK | 0o777, p.credentials.fsuid, p.credentials.gid[1])
    return p.install(OpenFile(None, node, os.O_RDWR, 0, made, "socket"))


@call("socket", "socket", lambda family, kind, protocol: (family, kind, protocol))
def socket(k: Kernel, p: Process, family: int, kind: int, protocol: int) -> int:
    """socket: raw ones are for CAP_NET_RAW."""
    kind &= 0xF
    if family not in {UNIX, INET, NETLINK, PACKET}:  # the guest's kernel has no IPv6: a module that is not loaded
        raise error(errno.EAFNOSUPPORT)
    if family == INET and kind not in {STREAM, DGRAM, RAW}:
        raise error(errno.ESOCKTNOSUPPORT)
    if family == INET and kind == RAW and protocol == 0:
        raise error(errno.EPROTONOSUPPORT)
    if family == PACKET or (family == INET and kind == RAW):
        p.need("NET_RAW")
    if family == INET and kind == DGRAM and protocol == 1:
        raise error(errno.EACCES)
    return _install(k, p, Socket(family, kind, k.world.network(p), protocol=protocol))


@raw("socket")
def raw_socket(k: Kernel, p: Process, a: list[Any]) -> int:
    """socket by number."""
    return socket(k, p, a[0], a[1], a[2])


@call("socketpair", "socketpair", lambda family, *_: (family,))
def socketpair(k: Kernel, p: Process, family: int, kind: int, _protocol: int) -> list[int]:
    """Two connected ones."""
    if family != UNIX:
        raise error(errno.EOPNOTSUPP)
    one, two = (Socket(UNIX, kind & 0xF, k.world.network(p)) for _ in range(2))
    one.peer, two.peer = two, one
    return [_install(k, p, one), _install(k, p, two)]


@call("bind", "bind")
def bind(k: Kernel, p: Process, number: int, address: Any) -> None:
    """bind: low ports are for CAP_NET_BIND_SERVICE, other machines' addresses for nobody."""
    own = socket_of(p, number)
    if own.family == UNIX:
        if isinstance(address, str) and not address.startswith("\0"):
            from executor.sim.calls.entries import mknod  # noqa: PLC0415 - its neighbour

            try:
                mknod(k, p, address, stat.S_IFSOCK | 0o777, 0, None)
            except FileExistsError:
                raise error(errno.EADDRINUSE) from None
        own.network[UNIX, address] = own
        own.address = address
        return
    if own.family == PACKET:
        wire.listen_on(k, p, own, str(address[0]))
        return
    host, port = address[0], int(address[1])
    if not k.world.is_own_address(host) and host not in wire.addresses(k, p):
        raise error(errno.EADDRNOTAVAIL)
    if 0 < port < LOW_PORTS:
        p.need("NET_BIND_SERVICE", errno.EACCES)
    if port == 0:
        port = wire.free_port(own)
    other = own.network.get((own.family, port))
    if other is not None and (other.listening or not (REUSE in own.options and REUSE in other.options)):
        raise error(errno.EADDRINUSE)
    own.network[own.family, port] = own
    own.address = [host, port]


@call("listen", "listen")
def listen(k: Kernel, p: Process, number: int, _backlog: int) -> None:
    """listen."""
    socket_of(p, number).listening = True


@call("accept", "accept4")
def accept(k: Kernel, p: Process, number: int, wait_ns: float) -> list[Any]:
    """accept."""
    own = socket_of(p, number)
    if not own.listening:
        raise error(errno.EINVAL)
    if not own.waiting:
        raise waiting(k, p, wait_ns, errno.EAGAIN)
    taken = own.waiting.popleft()
    taken.address = taken.address or own.address
    return [_install(k, p, taken), "" if own.family == UNIX else ["127.0.0.1", 40000]]


@call("connect", "connect")
def connect(k: Kernel, p: Process, number: int, address: Any, wait_ns: float) -> None:
    """connect: within the machine; beyond it only where the card's allowlist leads."""
    own = socket_of(p, number)
    if own.family == UNIX:
        found = own.network.get((UNIX, address))
        if found is None:
            p.find(str(address))
            raise error(errno.ECONNREFUSED)
    else:
        host, port = str(address[0]), int(address[1])
        if not k.world.is_own_address(host):
            wire.connect(k, p, own, (host, port), wait_ns)
            return
        if not k.world.loopback_up(p):
            raise error(errno.ENETUNREACH)
        if own.kind == DGRAM:
            own.peer = own.network.get((own.family, port))
            return
        found = own.network.get((own.family, port))
        if found is None or not found.listening:
            raise error(errno.ECONNREFUSED)
    other = Socket(own.family, own.kind, own.network, own)
    own.peer = other
    found.waiting.append(other)


@call("send", "sendto")
def send(k: Kernel, p: Process, number: int, data: bytes, *_flags: int) -> int:
    """send."""
    own = socket_of(p, number)
    if own.family == PACKET or own.remote is not None:
        return wire.send(k, p, own, data)
    if own.peer is None:
        raise error(errno.ENOTCONN if own.kind == STREAM else errno.EDESTADDRREQ)
    if own.peer.closed:
        k.signal(p, 13)
        raise error(errno.EPIPE)
    if own.kind == DGRAM:
        own.peer.packets.append((data, own.address))
        return len(data)
    room = BUFFER - len(own.peer.buffer)
    if room <= 0:
        raise WaitError
    own.peer.buffer += data[:room]
    return min(len(data), room)


@call("sendto", "sendto")
def sendto(k: Kernel, p: Process, number: int, data: bytes, address: Any) -> int:
    """sendto."""
    own = socket_of(p, number)
    if own.family == NETLINK:
        raise UnmodelledError("a netlink message")
    if own.family == UNIX:
        found = own.network.get((UNIX, address))
        if found is None:
            raise error(errno.ECONNREFUSED)
    else:
        if not k.world.is_own_address(str(address[0])):
            return wire.send_to(k, p, own, data, (str(address[0]), int(address[1])))
        if not k.world.loopback_up(p):
            raise error(errno.ENETUNREACH)
        found = own.network.get((own.family, int(address[1])))
    if found is not None:
        found.packets.append((data, own.address or ["127.0.0.1", 40000]))
    return len(data)


def _told(own: Socket) -> None:
    """Raise what came as a packet, once."""
    if own.failed:
        number, own.failed = own.failed, 0
        raise error(number)


@call("recv", "recvfrom")
def recv(k: Kernel, p: Process, number: int, size: int, wait_ns: float, *_flags: int) -> bytes:
    """recv."""
    own = socket_of(p, number)
    _told(own)
    if own.packets:
        return own.packets.popleft()[0][:size]
    if own.buffer:
        data = bytes(own.buffer[:size])
        del own.buffer[:size]
        return data
    if own.ended or own.closed:
        return b""
    if own.peer is None and own.remote is None and own.kind == STREAM:
        raise error(errno.ENOTCONN)
    raise waiting(k, p, wait_ns, errno.EAGAIN)


@call("recvfrom", "recvfrom")
def recvfrom(k: Kernel, p: Process, number: int, size: int, wait_ns: float) -> list[Any]:
    """recvfrom."""
    own = socket_of(p, number)
    _told(own)
    if own.packets:
        data, sender = own.packets.popleft()
        return [data[:size], sender]
    raise waiting(k, p, wait_ns, errno.EAGAIN)


REUSE: Final = (1, 2)
"""SO_REUSEADDR."""
PRIVILEGED: Final = {(1, 36): "NET_ADMIN", (1, 33): "NET_ADMIN", (1, 32): "NET_ADMIN", (1, 25): ""}
"""SO_MARK, SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_BINDTODEVICE."""


@call("setsockopt", "setsockopt")
def setsockopt(k: Kernel, p: Process, number: int, level: int, option: int, value: Any) -> None:
    """setsockopt: some are for CAP_NET_ADMIN."""
    socket_of(p, number).options[level, option] = value
    if needed := PRIVILEGED.get((level, option)):
        p.need(needed)


@call("getsockopt", "getsockopt")
def getsockopt(k: Kernel, p: Process, number: int, level: int, option: int) -> int:
    """getsockopt of what probes ask."""
    own = socket_of(p, number)
    return {(1, 3): own.kind, (1, 4): 0}.get((level, option), 0)


@call("getsockname", "getsockname")
def getsockname(k: Kernel, p: Process, number: int) -> Any:
    """getsockname."""
    own = socket_of(p, number)
    if own.family == PACKET:
        return wire.name_of(k, p, own)
    return own.address if own.address is not None else "" if own.family == UNIX else ["0.0.0.0", 0]  # noqa: S104 - what the kernel says


@call("getpeername", "getpeername")
def getpeername(k: Kernel, p: Process, number: int) -> Any:
    """getpeername."""
    own = socket_of(p, number)
    if own.remote is not None:
        return [*own.remote]
    if own.peer is None:
        raise error(errno.ENOTCONN)
    return own.peer.address or ["127.0.0.1", 40000]


@call("shutdown", "shutdown")
def shutdown(k: Kernel, p: Process, number: int, how: int) -> None:
    """shutdown."""
    own = socket_of(p, number)
    if own.remote is not None:
        return
    if own.peer is None:
        raise error(errno.ENOTCONN)
    if how in {1, 2}:
        own.peer.ended = True


@call("getaddrinfo")
def getaddrinfo(k: Kernel, p: Process, host: str | None, port: Any, family: int, kind: int) -> list[Any]:
    """Names: this machine's own, and with a card what its answerer knows."""
    number = int(port) if str(port).isdecimal() else {"http": 80, "https": 443, "domain": 53}.get(str(port), 0)
    address = k.world.resolve(p, host)
    kinds = [kind] if kind else [STREAM, DGRAM]
    six = ":" in address
    if family in {INET, INET6} and six != (family == INET6):
        raise OSError(1000 - 9, "address family")
    return [[INET6 if six else INET, one, 6 if one == STREAM else 17, [address, number]] for one in kinds]


@call("if_nameindex", "socket", lambda *_: (16, 3, 0))
def if_nameindex(k: Kernel, p: Process) -> list[list[Any]]:
    """Interfaces; asked by netlink where one may, as the C library does."""
    return [[number, name] for number, name in enumerate(k.world.interfaces(p), 1)]


@call("cards")
def cards(k: Kernel, p: Process) -> list[list[Any]]:
    """Numbers and names of interfaces, as an ioctl tells them."""
    return [[number, name] for number, name in enumerate(k.world.interfaces(p), 1)]
