"""Machine to machine, with the frame filter gone already: the bridge's own isolation has to hold alone."""

import socket

import wire
from kit import need, probe
from wire import Wire


def honest_frame():
    one = Wire()
    packet = wire.udp(one.address, wire.GATEWAY, 5010, 53, wire.query("mirror.cordon.test"))
    one.send(wire.GATEWAY_MAC, 0x0800, packet)
    need(one.hears(lambda frame: socket.inet_aton(wire.MIRROR) in frame[42:]))


@probe("isolation-alone-unicast", twin=honest_frame)
def unicast():
    one = Wire()
    one.send(wire.NEIGHBOUR_MAC, 0x0800, wire.udp(one.address, wire.NEIGHBOUR, 5013, 9, b"x"))
    need(one.hears(wire.from_mac(wire.NEIGHBOUR_MAC)))


@probe("isolation-alone-flooding", twin=honest_frame)
def flooding():
    # An address nobody has: the bridge would try every port.
    one = Wire()
    packet = wire.arp(1, (one.mac, one.address), (bytes(6), wire.NEIGHBOUR))
    one.send(wire.BROADCAST, 0x0806, packet)
    need(one.hears(wire.from_mac(wire.NEIGHBOUR_MAC)))
