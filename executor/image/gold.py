"""The gold image: found in the cache, or built there from Debian packages by the recipe in fixtures/gold_image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from executor import paths
from executor.errors import ImageError
from executor.image import cache, recipe
from executor.image.build import MANIFEST, Progress, build, file_digest

TCG_CMDLINE: Final = "mitigations=off"
"""Worth appending to the command line under software emulation only: the emulator does not speculate, and the detours
that keep a real CPU from speculating cost it a fifth of the boot."""


@dataclass(frozen=True, slots=True)
class GoldImage:
    """A finished gold image. All files are read-only; VMs use overlays of `qcow2`."""

    qcow2: Path
    kernel: Path
    initrd: Path
    manifest: Path
    digest: str
    """Hex SHA-256 of the manifest, which holds the digests of the other files."""
    cmdline: str
    """The kernel command line; nothing has to be added."""


def ensure_gold_image(progress: Progress = lambda _line: None) -> GoldImage:
    """The gold image of this checkout's recipe; built when the cache does not hold it (about two minutes).

    `progress` is given one line for each step of a build. Processes that ask at the same time build once. Raises
    `ImageError` naming what is missing when it cannot be built here; nothing half-built stays behind.
    """
    key = recipe.input_digest(recipe.input_files())
    folder = cache.publish(images_dir(), key, lambda work: build(work, progress), marker=MANIFEST)
    return load(folder)


def images_dir() -> Path:
    """Where gold images are kept, each in a folder named by the digest of its inputs."""
    return paths.cache_dir() / "images"


def load(folder: Path) -> GoldImage:
    """The image in `folder`; raises `ImageError` when a file is missing or has another size than it was built with."""
    manifest = folder / MANIFEST
    try:
        content = manifest.read_bytes()
        record: dict[str, Any] = json.loads(content)
        for name, facts in record["files"].items():
            if (folder / name).stat().st_size != facts["bytes"]:
                raise ImageError(f"{folder / name} is damaged; remove {folder} and build again")
    except (OSError, ValueError, KeyError) as error:
        raise ImageError(f"{folder} holds no whole gold image: {error}") from error
    return GoldImage(
        qcow2=folder / "gold.qcow2",
        kernel=folder / "vmlinuz",
        initrd=folder / "initrd.img",
        manifest=manifest,
        digest=hashlib.sha256(content).hexdigest(),
        cmdline=record["cmdline"],
    )


def verify(image: GoldImage) -> list[str]:
    """What is wrong with the image's bytes, compared with its manifest: one line each, none when it is whole."""
    record: dict[str, Any] = json.loads(image.manifest.read_bytes())
    found = []
    for name, facts in record["files"].items():
        if (digest := file_digest(image.manifest.with_name(name))) != facts["sha256"]:
            found.append(f"{name}: sha256 is {digest}, built as {facts['sha256']}")
    return found
