"""Class R, archive bombs: small files that unpack to a great many bytes, brought along, handed back, or as policies.

Nothing on the host has a reason to unpack what a requester or a task gives it; what it unpacks itself (a bundle of
policies) it measures while it does. The control is a host that looks inside.
"""

from __future__ import annotations

import base64
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from executor.errors import OutsideError, PolicyUnavailableError
from executor.policy.bundle import LARGEST_BYTES, load_bundle, write_bundle
from harness.judgement.facts import Facts
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

INFLATED: Final = 256 << 20
"""Bytes each bomb unpacks to: zeros, a thousandth of that as long as they are packed."""
UNPACKED: Final = 64 << 20
"""Bytes the bundle of policies unpacks to: four times what policies may have."""
FLAT: Final = 160 << 20
"""Bytes by which a process may grow meanwhile: a scanner that starts with its rules takes 100 MiB."""
_ZEROS: Final = bytes(1 << 20)


def _zip() -> bytes:
    whole = io.BytesIO()
    with (
        zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("zeros", "w") as out,
    ):
        for _ in range(INFLATED // len(_ZEROS)):
            out.write(_ZEROS)
    return whole.getvalue()


def _xz() -> bytes:
    packer = lzma.LZMACompressor(preset=0)
    return b"".join([*(packer.compress(_ZEROS) for _ in range(INFLATED // len(_ZEROS))), packer.flush()])


def _tar() -> bytes:
    """A bundle of policies with one large one: a stream of gzip members (RFC 1952), of which all but the first are one.

    So a thousandth of it has to be packed. Its end, two blocks of zeros, is a part of them.
    """
    member = tarfile.TarInfo("cordon/large.rego")
    member.size = UNPACKED - 2 * tarfile.BLOCKSIZE
    head = member.tobuf(format=tarfile.USTAR_FORMAT)
    return gzip.compress(head, 1) + gzip.compress(_ZEROS, 1) * (UNPACKED // len(_ZEROS))


def _family() -> Iterator[Path]:
    """The executor's process and its children, but for the machines themselves."""
    own = Path("/proc/self").resolve()
    yield own
    for listing in own.glob("task/*/children"):
        with suppress(OSError):
            for pid in listing.read_text().split():
                with suppress(OSError):
                    if not Path("/proc", pid, "comm").read_text().startswith("qemu"):
                        yield Path("/proc", pid)


def _memory(process: Path, field: str) -> int:
    """`VmRSS` or `VmHWM` of a process in bytes; 0 for one that has ended."""
    with suppress(OSError):
        for line in (process / "status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) << 10
    return 0


def _size(folder: Path) -> int:
    """Bytes of all files in `folder`."""
    total = 0
    for root, _folders, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(root) / name).lstat().st_size
    return total


def _looked_into(bombs: dict[str, bytes]) -> bytes:
    """What a host does that looks into archives: everything in memory at once."""
    with zipfile.ZipFile(io.BytesIO(bombs["bomb.zip"])) as archive:
        return archive.read("zeros") + lzma.decompress(bombs["bomb.xz"])


@procedure(unsimulated="the simulator's helper shares the memory that is measured")
def archive_bomb(stage: Stage, *, looked_into: bool = False, harmless: bool = False) -> Facts:
    """Brings archives along that unpack to half a gigabyte, has them handed back, and sees what the host took."""
    bombs = {"bomb.zip": b"PK", "bomb.xz": b"xz"} if harmless else {"bomb.zip": _zip(), "bomb.xz": _xz()}
    names = [f"/workspace/{name}" for name in bombs]
    raw = {
        "commands": [{"argv": ["ls", "/workspace"]}],
        "files": [
            {"path": f"/workspace/{name}", "base64": base64.b64encode(data).decode()} for name, data in bombs.items()
        ],
        "collect": names,
    }
    state = stage.kept.state
    kept = _size(state)
    before = {process: _memory(process, "VmRSS") for process in _family()}
    for process in before:
        with suppress(OSError):
            (process / "clear_refs").write_text("5")  # forget the peak (Linux, Documentation/filesystems/proc.rst)
    outcome = stage.run(stage.request(raw))
    inside = len(_looked_into(bombs)) if looked_into else 0
    if outcome.effect != "completed":
        raise OutsideError(f"the run that carries the archives ended as {outcome.effect}: {outcome.message}")
    grown = max(_memory(process, "VmHWM") - before.get(process, 0) for process in _family())
    handed = {file.path: file.content for file in outcome.files}
    same = all(handed.get(name) == data for name, data in zip(names, bombs.values(), strict=True))
    small = _size(state) + inside - kept < FLAT
    refusal = "" if harmless or not (small and grown < FLAT) else "absence unpacked bytes"
    return {"refusal": refusal, "memory_flat": grown < FLAT, "state_small": small, "same_bytes": same}


@procedure()
def bundle_bomb(stage: Stage, *, measured: bool = True, harmless: bool = False) -> Facts:
    """Loads a bundle of policies that unpacks to more than policies may have; `measured: false` just unpacks it."""
    target = stage.folder() / "bundle.tar.gz"
    if harmless:
        write_bundle(stage.kept.policies, target)
    else:
        target.write_bytes(_tar())
    if not measured:
        with tarfile.open(target, "r:gz") as tar:
            # Every byte of a member is unpacked to find the one behind it.
            return {"refusal": "", "loaded": sum(member.size for member in tar) > LARGEST_BYTES}
    try:
        load_bundle(target)
    except PolicyUnavailableError as error:
        return {"refusal": f"denial {error.code}", "loaded": False}
    return {"refusal": "", "loaded": True}
