"""Sockets through the machine's card: packets out, what comes back handed to whom it is for. Frames: `segment`."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.waiting import waiting
from executor.sim.files.nodes import error
from executor.sim.network import packets
from executor.sim.network.packets import ICMP, TCP, UDP

if TYPE_CHECKING:
    from executor.sim.calls.sockets import Socket
    from executor.sim.kernel.kernel import Kernel
    from executor.sim.kernel.process import Process
    from executor.sim.network.segment import Segment

INET, PACKET = 2, 17
STREAM, DGRAM, RAW = 1, 2, 3
IP_OPTIONS: Final = (0, 4)
BROADCAST: Final = (1, 6)
"""SO_BROADCAST."""
ETHERNET: Final = 1
OUTGOING: Final = 4
"""PACKET_OUTGOING: a frame that this machine sent itself."""
FIRST_PORT: Final = 32768
PATIENCE_NS: Final = 127 * 10**9
"""How long the kernel itself waits for the answer to a first packet (tcp_syn_retries 6)."""
_ERRORS: Final = {packets.NO_PORT: errno.ECONNREFUSED, packets.NO_PROTOCOL: errno.ENOPROTOOPT}
"""ICMP's code -> what the socket is told; any other is EHOSTUNREACH."""


def addresses(k: Kernel, p: Process) -> set[str]:
    """Addresses of the card."""
    segment = k.world.card_of(p)
    return {str(segment.card.address), *k.world.aliases} if segment else set()


def free_port(own: Socket) -> int:
    """A port that nobody has."""
    return next(port for port in range(FIRST_PORT, 61000) if (own.family, port) not in own.network)


def listen_on(k: Kernel, p: Process, own: Socket, card: str) -> None:
    """A packet socket listens on a card; raises ENODEV."""
    if card not in k.world.interfaces(p):
        raise error(errno.ENODEV)
    own.card = card
    own.network[PACKET, id(own)] = own


def name_of(k: Kernel, p: Process, own: Socket) -> list[Any]:
    """A packet socket's address: card, protocol, kind, kind of hardware, hardware address."""
    segment = k.world.card_of(p)
    return [own.card, 3, 0, ETHERNET, segment.mac if segment and own.card != "lo" else bytes(6)]


def _port(own: Socket, host: str) -> int:
    """The socket's own port, taken now if it has none; its address becomes the card's."""
    if own.address is None:
        port = free_port(own)
        own.network[own.family, port] = own
        own.address = [host, port]
    elif own.address[0] in {"", "0.0.0.0"}:  # noqa: S104 - compared
        own.address = [host, own.address[1]]
    return int(own.address[1])


def connect(k: Kernel, p: Process, own: Socket, remote: tuple[str, int], wait_ns: float) -> None:
    """Beyond the machine; raises what the kernel says, or waits for an answer that does not come."""
    segment = k.world.routed(p)
    host, port = remote
    source = _port(own, str(segment.card.address))
    if own.kind == DGRAM:
        own.remote = remote
        return
    if not own.asked:
        own.asked = True
        body = packets.tcp(own.address[0], host, source, port, packets.SYN)[20:]
        for packet in _out(k, p, segment, _packet(own, host, TCP, body), host):
            if packet.proto == TCP and packet.ports == (port, source):
                if packet.body[13] & packets.RST:
                    raise error(errno.ECONNREFUSED)
                own.remote, own.server = remote, segment.listener(host, port)
                return
            if (failure := _failure(packet, TCP, source)) is not None:
                raise error(failure)
    raise waiting(k, p, wait_ns if wait_ns >= 0 else PATIENCE_NS, errno.EINPROGRESS)


def send(k: Kernel, p: Process, own: Socket, data: bytes) -> int:
    """To whom it is connected; a frame, of a packet socket."""
    if own.family == PACKET:
        segment = k.world.card_of(p)
        if segment is None or not own.card:
            raise error(errno.ENXIO)
        _deliver(k, p, segment, segment.send(data))
        return len(data)
    if own.remote is None:
        raise error(errno.ENOTCONN)
    if own.kind == STREAM:
        if own.ended:
            raise error(errno.EPIPE)
        own.buffer += own.server(data) if own.server else b""
        own.ended = True
        return len(data)
    return send_to(k, p, own, data, own.remote)


def send_to(k: Kernel, p: Process, own: Socket, data: bytes, remote: tuple[str, int]) -> int:
    """A datagram or raw packet."""
    segment = k.world.routed(p)
    host, port = remote
    if host.endswith(".255") and BROADCAST not in own.options:
        raise error(errno.EACCES)
    if own.kind == RAW:
        own.network[INET, id(own)] = own
        whole = data if own.protocol == 255 else packets.ipv4(str(segment.card.address), host, own.protocol, data)
    else:
        source = _port(own, str(segment.card.address))
        own.failed = 0
        body = struct.pack(">HHHH", source, port, 8 + len(data), 0) + data
        whole = _packet(own, host, UDP, body)
    _out(k, p, segment, whole, host)
    return len(data)


def _packet(own: Socket, host: str, proto: int, body: bytes) -> bytes:
    """An IPv4 packet of a socket, with the options it has set."""
    options = bytes(own.options.get(IP_OPTIONS, b""))
    plain = packets.ipv4(own.address[0], host, proto, body)
    if not options:
        return plain
    size = struct.pack(">H", len(plain) + len(options))
    return bytes([packets.PLAIN_HEADER + len(options) // 4, 0]) + size + plain[4:20] + options + body


def _out(k: Kernel, p: Process, segment: Segment, packet: bytes, host: str) -> list[packets.Packet]:
    """Send a packet; the packets that came back, handed on as well."""
    return _deliver(k, p, segment, segment.send(packets.made(segment.way(host), segment.mac, packets.IPV4, packet)))


def _deliver(k: Kernel, p: Process, segment: Segment, frames: list[bytes]) -> list[packets.Packet]:
    """Hand frames to packet sockets, and their packets to whom they are for."""
    found = []
    sockets: dict[Any, Socket] = k.world.network(p)
    for raw in frames:
        for own in [one for one in sockets.values() if one.family == PACKET]:
            own.packets.append((raw, [own.card, int.from_bytes(raw[12:14], "big"), 0, ETHERNET, raw[6:12]]))
        frame = packets.frame(raw)
        packet = packets.packet(frame.body) if frame and frame.kind == packets.IPV4 else None
        if frame is None or packet is None or packet.target not in addresses(k, p):
            continue
        found.append(packet)
        if packet.proto == UDP and (bound := sockets.get((INET, packet.ports[1]))) is not None:
            bound.packets.append((packet.body[8:], [packet.source, packet.ports[0]]))
        for own in [one for one in sockets.values() if one.family == INET and one.kind == RAW]:
            if own.protocol == packet.proto:
                own.packets.append((frame.body, [packet.source, 0]))
        for (_, port), own in list(sockets.items()):
            if own.kind == DGRAM and own.remote and (failure := _failure(packet, UDP, port)) is not None:
                own.failed = failure
    return found


def _failure(packet: packets.Packet, proto: int, port: Any) -> int | None:
    """What an ICMP error tells the socket at `port`; None when it is none, or not about it."""
    if packet.proto != ICMP or packet.body[0] != packets.UNREACHABLE:
        return None
    about = packets.packet_cut(packet.body[8:])
    if about is None or about.proto != proto or about.ports[0] != port:
        return None
    return _ERRORS.get(packet.body[1], errno.EHOSTUNREACH)
