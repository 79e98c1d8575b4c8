"""The gold image's tree, from a listing of the image and from what its few text files hold."""

from __future__ import annotations

import stat
from functools import lru_cache
from pathlib import Path
from typing import Final

from executor.sim.calls.programs import ELF, MODELLED
from executor.sim.files.nodes import Dentry, FileSystem, Node, deep, file, folder, link

LISTING: Final = Path(__file__).with_name("image_files.txt")
LOADER: Final = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
LAUNCH: Final = "/opt/cordon/bin/launch"
MODULE: Final = b"\x7fELFmodule:"
"""What a kernel module consists of here: its file's name."""
_USERS: Final = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
task:x:1000:1000:task:/workspace:/usr/sbin/nologin
"""
_GROUP: Final = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nshadow:x:42:\nnogroup:x:65534:\ntask:x:1000:\n"
_TEXTS: Final = {
    "/etc/passwd": _USERS,
    "/etc/group": _GROUP,
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/etc/hostname": "cordon\n",
    "/etc/resolv.conf": "",
    "/etc/debian_version": "12.0\n",
    "/usr/lib/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "/etc/issue": "Debian GNU/Linux 12 \\n \\l\n",
}


@lru_cache(maxsize=1)
def listing() -> tuple[tuple[int, int, int, str, str], ...]:
    """(mode, uid, gid, path, target) of every entry, folders before what is in them."""
    rows = []
    for line in LISTING.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            mode, uid, gid, path, *target = line.split(" ")
            rows.append((int(mode, 8), int(uid), int(gid), path, target[0] if target else ""))
    return tuple(rows)


@lru_cache(maxsize=1)
def image() -> FileSystem:
    """The image's file system. It cannot be written by anybody, so all machines of a process share it."""
    system = FileSystem("squashfs", read_only=True)
    build(system)
    return system


def build(system: FileSystem) -> Dentry:
    """The tree on `system`."""
    root = system.root
    made: dict[str, Dentry] = {"": root}
    for mode, uid, gid, path, target in listing():
        parent, _, name = path.rpartition("/")
        where = made.get(parent) or deep(root, parent)
        if stat.S_ISDIR(mode):
            made[path] = folder(where, name, mode & 0o7777, uid, gid)
        elif stat.S_ISLNK(mode):
            link(where, name, target)
        else:
            file(where, name, _content(path, mode), mode & 0o7777, uid, gid)
    for part in ("proc", "sys", "dev"):
        folder(root, part)
    deep(root, "/usr/lib/python3.11")
    libraries = deep(root, "/usr/lib/x86_64-linux-gnu")
    if "ld-linux-x86-64.so.2" not in libraries.node.children:
        file(libraries, "ld-linux-x86-64.so.2", ELF + b"ld.so", 0o755)
        file(libraries, "libc.so.6", b"\x7fELF", 0o644)
    return root


def _content(path: str, mode: int) -> bytes:
    name = path.rpartition("/")[2]
    if path in _TEXTS:
        return _TEXTS[path].encode()
    if path.startswith("/boot/config-"):
        return b"CONFIG_X86_64=y\n"
    if path.endswith(".ko"):
        return MODULE + name.encode()
    if mode & 0o111:
        return ELF + name.encode()
    return b""


@lru_cache(maxsize=1)
def image_programs(groups: tuple[tuple[int, str], ...]) -> dict[str, list[Node]]:
    """As `executable`, of the image that all share."""
    return executable(image().root, dict(groups))


def executable(root: Dentry, groups: dict[int, str]) -> dict[str, list[Node]]:
    """Capability (or `system`) -> the programs its list names: by the group the image gave each."""
    found: dict[str, list[Node]] = {name: [] for name in (*groups.values(), "system")}

    def visit(dentry: Dentry) -> None:
        for child in dentry.node.children.values():
            node = child.node
            if node.is_dir:
                visit(child)
            elif node.kind == stat.S_IFREG and node.gid in groups and node.mode & 0o111:
                found[groups[node.gid]].append(node)

    visit(root)
    for path in (LOADER, LAUNCH):
        parent, _, name = path.rpartition("/")
        found["system"].append(deep(root, parent).node.children[name].node)
    return found


def modelled(names: frozenset[str]) -> None:
    """Take note of the programs the puppet has."""
    MODELLED.update(names)
