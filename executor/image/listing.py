"""What is in a built gold image, as the simulator wants it: mode, owner, group, path, target of a link. Rim.

    python -m executor.image.listing > executor/sim/files/image_files.txt

Left out are headers, libraries and documents, which a task only reads or loads.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from executor.image import gold, recipe

LEFT_OUT: Final = (
    "/usr/include/", "/usr/lib/x86_64-linux-gnu/", "/usr/lib/python3", "/usr/lib/gcc/", "/usr/lib/modules/",
    "/usr/share/", "/var/lib/",
)  # fmt: skip
EMPTY: Final = ("/proc", "/sys", "/dev")
"""Mounted over: what is in the image below them is never seen."""
RECIPE: Final = "# recipe "
"""In front of the digest of what the image is made from, on the listing's first line."""
SECTOR: Final = 512
FIRST_ENTRY: Final = 446 + 8
"""Where the partition table of the first sector says where the first partition begins."""
FIRST_START: Final = struct.Struct("<I")


def rows(root: Path) -> Iterator[str]:
    """A line for each entry below `root`, folders before what is in them."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted((*folders, *files)):
            place = Path(folder) / name
            path = f"/{place.relative_to(root)}"
            if path.startswith((*LEFT_OUT, *(f"{one}/" for one in EMPTY))):
                continue
            facts = place.lstat()
            target = f" {place.readlink()}" if place.is_symlink() else ""
            yield f"{facts.st_mode:o} {facts.st_uid} {facts.st_gid} {path}{target}"


def main() -> int:
    """Unpack the image and print its listing; needs qemu-img and unsquashfs, and root for the owners."""
    image = gold.ensure_gold_image(lambda line: print(line, file=sys.stderr))  # noqa: T201 - a tool
    with tempfile.TemporaryDirectory(prefix="cordon-listing-") as scratch:
        raw, part, tree = (Path(scratch) / name for name in ("raw", "part", "tree"))
        subprocess.run(["qemu-img", "convert", "-O", "raw", image.qcow2, raw], check=True)
        with raw.open("rb") as source, part.open("wb") as copy:
            (start,) = FIRST_START.unpack_from(source.read(SECTOR), FIRST_ENTRY)
            source.seek(start * SECTOR)
            while piece := source.read(1 << 20):
                copy.write(piece)
        subprocess.run(["unsquashfs", "-q", "-n", "-no-xattrs", "-d", tree, part], check=True, stdout=sys.stderr)
        digest = recipe.input_digest(recipe.input_files())
        sys.stdout.write(f"{RECIPE}{digest}\n# Written by python -m executor.image.listing.\n")
        sys.stdout.writelines(f"{row}\n" for row in rows(tree))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
