"""Facts about this host read from /proc: the processes below one, and its sockets that reach beyond the machine.

They are read with every run, hundreds of files each time: plain system calls, no `Path` for each.
"""

# ruff: noqa: PTH208, PTH115 - as above

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
STAT_BYTES: Final = 1024
"""Enough for /proc/PID/stat: a name of at most 64 bytes and fifty numbers."""
_NO_PORT: Final = ":0000"


def descendants(root: int) -> dict[int, str]:
    """Process id -> program name of every process below `root`, itself left out."""
    parents: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for entry in os.listdir(PROC):
        if entry.isdecimal() and (found := _stat(entry)):
            name, parent = found
            names[int(entry)] = name
            parents.setdefault(parent, []).append(int(entry))
    below: dict[int, str] = {}
    queue = [root]
    while queue:
        for child in parents.get(queue.pop(), ()):
            below[child] = names[child]
            queue.append(child)
    return below


def _stat(process: str) -> tuple[str, int] | None:
    """(program name, parent's id); None when the process has ended meanwhile."""
    try:
        handle = os.open(f"{PROC}/{process}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(handle, STAT_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(handle)
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name, int(rest.split(None, 2)[1])


def remote_sockets(pids: Iterable[int]) -> frozenset[str]:
    """Internet sockets of the processes `pids` that listen or reach beyond loopback, as `tcp local remote`."""
    own = {inode for pid in pids for inode in _socket_inodes(pid)}
    found = set[str]()
    if not own:
        return frozenset(found)  # the tables below take the kernel milliseconds each, however few sockets there are
    for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        try:
            lines = (PROC / "net" / kind).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            local, remote, inode = fields[1], fields[2], fields[9]
            if inode in own and not (_loopback(local) and (_loopback(remote) or remote.endswith(_NO_PORT))):
                found.add(f"{kind} {local} {remote}")
    return frozenset(found)


def _socket_inodes(pid: int) -> set[str]:
    folder = f"{PROC}/{pid}/fd"
    try:
        entries = os.listdir(folder)
    except OSError:
        return set()
    found = set()
    for entry in entries:
        try:
            target = os.readlink(f"{folder}/{entry}")
        except OSError:
            continue  # closed meanwhile, as the listing's own descriptor always is
        if target.startswith("socket:[") and not _local(f"{folder}/{entry}"):
            found.add(target[8:-1])
    return found


def _local(descriptor: str) -> bool:
    """Whether a socket has no address beyond this host: the kernel's own word (xattr(7) of sockfs), not a name's."""
    try:
        return os.getxattr(descriptor, "system.sockprotoname") in {b"UNIX\0", b"UNIX-STREAM\0"}
    except OSError:
        return False


def _loopback(address: str) -> bool:
    """Whether a hexadecimal `address:port` of /proc/net is 127.0.0.0/8 or ::1 (bytes in host order)."""
    host = address.partition(":")[0]
    return host[-2:] == "7F" if len(host) == 8 else host == "0" * 24 + "01000000"
