"""The header of libvirt's save files, read and renamed. Pure bytes.

Layout (libvirt 9, `virQEMUSaveHeader`; all numbers in the host's byte order):

    offset  size  field
    0       16    magic "LibvirtQemudSave"
    16      4     version, 2
    20      4     length of what follows the header: the domain's XML, a cookie, padding
    24      68    flags and reserved
    92      ...   XML and cookie, then QEMU's migration stream

libvirt refuses to restore under another name, so a clone is made by writing its name over the golden one's. Names,
uuids and run directories have fixed lengths: the header's length never changes, the stream behind it is not touched.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from executor.errors import HypervisorError

MAGIC: Final = b"LibvirtQemudSave"
VERSION: Final = 2
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


def renamed(text: bytes, names: Mapping[str, str]) -> bytes:
    """`text` with every key of `names` replaced by its value; `HypervisorError` where that cannot be."""
    for old, new in names.items():
        if len(old) != len(new) or old.encode() not in text:
            raise HypervisorError(f"the saved machine cannot be renamed from {old} to {new}")
        text = text.replace(old.encode(), new.encode())
    return text
