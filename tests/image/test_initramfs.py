"""The cpio archive and the order of modules."""

import pytest

from executor.errors import ImageError
from executor.image import initramfs

DEP = """kernel/a/virtio_blk.ko: kernel/a/virtio.ko kernel/a/virtio_ring.ko
kernel/a/virtio.ko:
kernel/a/virtio_ring.ko:
kernel/a/virtio-rng.ko: kernel/a/virtio.ko kernel/a/virtio_ring.ko
"""


def test_modules_come_after_what_they_need() -> None:
    """Dependencies first, each once, however the wanted ones are written."""
    deps = initramfs.parse_modules_dep(DEP)
    assert initramfs.load_order(["virtio-rng", "virtio_blk"], deps) == (
        "kernel/a/virtio_ring.ko",
        "kernel/a/virtio.ko",
        "kernel/a/virtio-rng.ko",
        "kernel/a/virtio_blk.ko",
    )
    with pytest.raises(ImageError, match="no module squashfs"):
        initramfs.load_order(["squashfs"], deps)


def test_the_archive_holds_exactly_the_entries() -> None:
    """Read by the format's description, the archive lists what went in; the same input gives the same bytes."""
    data = initramfs.initramfs(b"\x7fELF init", [("a.ko", b"abc"), ("b.ko", b"defgh")])
    assert data == initramfs.initramfs(b"\x7fELF init", [("a.ko", b"abc"), ("b.ko", b"defgh")])
    names = ["dev", "dev/console", "root", "m", "init", "modules", "m/a.ko", "m/b.ko", "TRAILER!!!"]
    assert [name for name, _ in _entries(data)] == names
    assert dict(_entries(data))["modules"] == b"/m/a.ko\n/m/b.ko\n"
    assert dict(_entries(data))["m/b.ko"] == b"defgh"


def _entries(data: bytes) -> list[tuple[str, bytes]]:
    """Names and contents by an independent reading of the newc format."""
    found, at = [], 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        size, length = fields[6], fields[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        at = (at + 110 + length + 3) // 4 * 4
        found.append((name, data[at : at + size]))
        if name == "TRAILER!!!":
            return found
        at = (at + size + 3) // 4 * 4
