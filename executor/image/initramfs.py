"""A newc cpio archive with init and the modules boot needs; the same input gives the same bytes."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from executor.errors import ImageError


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or device node; `name` without a leading slash."""

    name: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def archive(entries: Iterable[Entry]) -> bytes:
    """The cpio archive of `entries`, in their order."""
    out = bytearray()
    for inode, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], start=1):
        name = entry.name.encode() + b"\0"
        fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0, *entry.device, len(name), 0)
        out += b"070701" + b"".join(b"%08x" % value for value in fields) + name
        out += b"\0" * (-len(out) % 4)
        out += entry.content
        out += b"\0" * (-len(out) % 4)
    out += b"\0" * (-len(out) % 512)
    return bytes(out)


def parse_modules_dep(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Module name (dashes as underscores) -> its file and its dependencies' files, from depmod's modules.dep."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for line in text.splitlines():
        file, _, needs = line.partition(":")
        found[module_name(file)] = (file, tuple(needs.split()))
    return found


def module_name(file: str) -> str:
    """The name the kernel knows a module file by."""
    return posixpath.basename(file).partition(".ko")[0].replace("-", "_")


def load_order(wanted: Sequence[str], deps: Mapping[str, tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    """Files of `wanted` and what they depend on, each after its dependencies; raises `ImageError` for a missing one."""
    order: list[str] = []
    for name in wanted:
        try:
            file, needs = deps[name.replace("-", "_")]
        except KeyError:
            raise ImageError(f"the kernel package has no module {name}") from None
        # depmod lists the most basic one last.
        order.extend(item for item in (*reversed(needs), file) if item not in order)
    return tuple(order)


def initramfs(init: bytes, modules: Sequence[tuple[str, bytes]]) -> bytes:
    """The archive with `init` and `modules` (name, content), which init loads in this order."""
    listing = "".join(f"/m/{name}\n" for name, _ in modules).encode()
    return archive(
        [
            Entry("dev", stat.S_IFDIR | 0o755),
            Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
            Entry("root", stat.S_IFDIR | 0o755),
            Entry("m", stat.S_IFDIR | 0o755),
            Entry("init", stat.S_IFREG | 0o755, init),
            Entry("modules", stat.S_IFREG | 0o644, listing),
            *(Entry(f"m/{name}", stat.S_IFREG | 0o644, content) for name, content in modules),
        ]
    )
