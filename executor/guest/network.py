"""The guest's network card, when the host gave it one (net:egress). Rim.

The card's hardware address says which IPv4 address to take, so that no message has to: `52:54:` is followed by the four
bytes of the address. The network is a /24, its `.1` is the gateway and answers names.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Final

from executor.guest import kernel

RESOLVER: Final = "/run/cordon/resolv.conf"
"""There only in a guest with a card."""
_CLASS: Final = "/sys/class/net"
_PCI: Final = "/sys/bus/pci/devices"
_VIRTIO_NET: Final = frozenset({"0x1000", "0x1041"})
_SIOCSIFADDR: Final = 0x8916
_SIOCSIFNETMASK: Final = 0x891C
_SIOCSIFFLAGS: Final = 0x8914
_SIOCADDRT: Final = 0x890B
_IFF_UP: Final = 0x1
_RTENTRY_BYTES: Final = 120
"""Size of struct rtentry on x86_64."""
_RTF_UP_GATEWAY: Final = 0x3


def address_of(mac: str) -> str | None:
    """The IPv4 address a hardware address stands for; None when it stands for none."""
    parts = mac.strip().lower().split(":")
    # 0.x and 127.x are nobody's address, from 224 on they are groups: such a card is somebody's random one.
    if len(parts) != 6 or parts[:2] != ["52", "54"] or int(parts[2], 16) in {0, 127, *range(224, 256)}:
        return None
    return ".".join(str(int(part, 16)) for part in parts[2:])


def gateway_of(address: str) -> str:
    """The `.1` of the address's /24."""
    return f"{address.rpartition('.')[0]}.1"


def card() -> bool:
    """Whether the host gave this guest a network card."""
    return any(kernel.read(f"{_PCI}/{entry}/device") in _VIRTIO_NET for entry in os.listdir(_PCI))  # noqa: PTH208


def set_up() -> None:
    """Bring the card up, if there is one, and write the resolver file that sandboxes with net:egress get."""
    if not card():
        return
    kernel.load_late("virtio_net.ko")
    for name in sorted(os.listdir(_CLASS)):  # noqa: PTH208 - pathlib costs 60 ms of boot
        address = address_of(kernel.read(f"{_CLASS}/{name}/address"))
        if address is not None:
            _bring_up(name, address)
            kernel.write_new(RESOLVER, f"nameserver {gateway_of(address)}\noptions timeout:2 attempts:1\n")
            return


def _bring_up(name: str, address: str) -> None:
    import socket  # noqa: PLC0415 - most guests have no card

    def sockaddr(text: str) -> bytes:
        return struct.pack("<HH4s8x", socket.AF_INET, 0, socket.inet_aton(text))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        device = name.encode().ljust(16, b"\0")
        fcntl.ioctl(handle, _SIOCSIFADDR, device + sockaddr(address))
        fcntl.ioctl(handle, _SIOCSIFNETMASK, device + sockaddr("255.255.255.0"))
        fcntl.ioctl(handle, _SIOCSIFFLAGS, device + struct.pack("<H14x", _IFF_UP))
        zero = sockaddr("0.0.0.0")  # noqa: S104 - the default route
        route = bytes(8) + zero + sockaddr(gateway_of(address)) + zero + struct.pack("<H", _RTF_UP_GATEWAY)
        fcntl.ioctl(handle, _SIOCADDRT, route.ljust(_RTENTRY_BYTES, b"\0"))
