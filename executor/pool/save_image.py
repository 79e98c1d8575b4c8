"""The header of libvirt's save files, read and renamed. Pure bytes.

Layout (libvirt 9, `virQEMUSaveHeader`; all numbers in the host's byte order):

    offset  size  field
    0       16    magic "LibvirtQemudSave"
    16      4     version, 2
    20      4     length of what follows the header: the domain's XML, a cookie, padding
    24      68    flags and reserved
    92      ...   XML and cookie, then QEMU's migration stream

libvirt refuses to restore under another name, so a clone is made by writing its name over the golden one's. Names,
uuids and run directories have fixed lengths: the header's length never changes. Of the stream behind it only the
network card's hardware address is touched: QEMU restores the one that was saved, whatever the XML says.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from executor.errors import HypervisorError
from executor.network import Card

MAGIC: Final = b"LibvirtQemudSave"
VERSION: Final = 2
MAX_PLACES: Final = 4
"""Places of the hardware address that are believed: more would mean that chance bytes of memory match."""
_HEAD: Final = struct.Struct("=16sII68x")
TEXT_AT: Final = _HEAD.size
MAX_TEXT: Final = 1024 * 1024
"""Bytes of XML and cookie that are believed; libvirt writes some 70 KiB."""


def text_length(head: bytes) -> int:
    """Length of XML, cookie and padding, from the first `TEXT_AT` bytes; `HypervisorError` for another format."""
    if len(head) < TEXT_AT:
        raise HypervisorError("the saved machine is cut short")
    magic, version, length = _HEAD.unpack_from(head)
    if magic != MAGIC or version != VERSION or not 0 < length <= MAX_TEXT:
        raise HypervisorError(f"this libvirt saves machines in another format (version {version}): warm clones are off")
    return int(length)


def card_bytes(card: Card) -> bytes:
    """A card's hardware address as QEMU saves it."""
    return bytes.fromhex(card.mac.replace(":", ""))


def places_of(save: Path, wanted: bytes, start: int) -> list[int]:
    """Where `wanted` stands in a save file from `start` on; `HypervisorError` when it does not.

    The guest has not loaded the card's driver when it is saved: the address is in QEMU's own state and nowhere else.
    """
    with save.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as whole:
        found = []
        at = whole.find(wanted, start)
        while at >= 0:
            found.append(at)
            at = whole.find(wanted, at + 1)
    if not 1 <= len(found) <= MAX_PLACES:
        raise HypervisorError(f"the saved machine names its card {len(found)} times: warm clones with a card are off")
    return found


def renamed(text: bytes, names: Mapping[str, str]) -> bytes:
    """`text` with every key of `names` replaced by its value; `HypervisorError` where that cannot be."""
    for old, new in names.items():
        if len(old) != len(new) or old.encode() not in text:
            raise HypervisorError(f"the saved machine cannot be renamed from {old} to {new}")
        text = text.replace(old.encode(), new.encode())
    return text
