"""The guest's own root in a machine without net:egress: there is no card to drive."""

import errno

import kit
import wire
from kit import need, probe


def loopback_is_there():
    need(b"lo:" in kit.read("/proc/net/dev"))


@probe("no-card-for-root", twin=loopback_is_there)
def no_card():
    if not wire.cards():
        raise kit.AbsentError("card")


@probe("no-card-packet-socket", twin=loopback_is_there)
def packet_socket():
    one = wire.Wire()
    one.send(wire.BROADCAST, 0x0806, wire.arp(1, (one.mac, one.address), (bytes(6), wire.GATEWAY)))
    need(one.hears(wire.from_mac(wire.GATEWAY_MAC)))


@probe("no-card-address-for-root", twin=loopback_is_there)
def address():
    wire.set_address("eth0:1", wire.NOBODY)
    wire.set_address("eth0:1", "0.0.0.0")


@probe("no-card-device-for-root", twin=loopback_is_there)
def device():
    # The bus itself: a virtio network device that only waits for a driver.
    import os

    found = [
        entry
        for entry in os.listdir("/sys/bus/pci/devices")
        if kit.read(f"/sys/bus/pci/devices/{entry}/class").startswith(b"0x02")
    ]
    need(found, errno.ENODEV)
