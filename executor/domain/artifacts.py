"""The files VMs share, laid out where QEMU's unprivileged user can read them: gold image, kernel, initrd, agent disk.

The image cache is in the user's home, which for root nobody else may enter. Here the same files appear (by hard link
where the file system allows) below the runtime folder: owned by us, read-only for everybody.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from executor.errors import ImageError
from executor.image import AgentDisk, GoldImage


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Paths below the runtime folder, readable and not writable for QEMU's user."""

    gold: Path
    kernel: Path
    initrd: Path
    agent_disk: Path
    overlay_template: Path
    """An empty qcow2 overlay of `gold`; copying it takes under 1 ms, `qemu-img create` 15-25 ms (DESIGN section 7)."""
    cmdline: str
    gold_digest: str
    agent_digest: str


def laid_out(gold: GoldImage, runtime: Path) -> Path:
    """The folder in which executors in `runtime` have the files of `gold`."""
    return runtime / "images" / gold.digest.removeprefix("sha256:")[:32]


def publish(gold: GoldImage, agent: AgentDisk, runtime: Path) -> Artifacts:
    """Lay the files out; cheap when they already are. Raises `ImageError`."""
    folder = laid_out(gold, runtime)
    agents = runtime / "images" / "agents"
    try:
        for directory in (runtime, runtime / "images", folder, agents):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        artifacts = Artifacts(
            gold=_place(gold.qcow2, folder / "gold.qcow2"),
            kernel=_place(gold.kernel, folder / "vmlinuz"),
            initrd=_place(gold.initrd, folder / "initrd.img"),
            agent_disk=_place(agent.path, agents / f"{agent.digest.removeprefix('sha256:')[:32]}.iso"),
            overlay_template=folder / "overlay.qcow2",
            cmdline=gold.cmdline,
            gold_digest=gold.digest,
            agent_digest=agent.digest,
        )
        if not artifacts.overlay_template.exists():
            _make_template(artifacts.gold, artifacts.overlay_template)
    except OSError as error:
        raise ImageError(f"cannot lay out the image below {runtime}: {error.strerror} ({error.filename})") from None
    return artifacts


def _place(source: Path, target: Path) -> Path:
    """Make `target` the same bytes as `source`, mode 0444, atomically."""
    with contextlib.suppress(FileNotFoundError):
        have, want = target.stat(), source.stat()
        if (have.st_size, have.st_mtime_ns) == (want.st_size, want.st_mtime_ns):
            return target
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(source, staging)
    except OSError:
        shutil.copy2(source, staging)
    staging.chmod(0o444)
    staging.replace(target)
    return target


def _make_template(gold: Path, target: Path) -> None:
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    made = subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(gold), str(staging)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise ImageError(f"qemu-img cannot make an overlay: {made.stderr.strip()}")
    staging.chmod(0o400)
    staging.replace(target)
