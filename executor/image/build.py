"""Builds a gold image into an empty folder, step by step.

    mmdebstrap -> root.tar -> rules of `tree` -> sqfstar -> partition 1     (squashfs: nothing in a guest can write it)
                                                mke2fs  -> partition 2     (empty ext4 with project quotas)
                           -> kernel, modules + init -> vmlinuz, initrd.img

Root is not needed when the host lets this user make user namespaces with a range of ids (mmdebstrap's unshare mode);
otherwise the build says so. Nothing is mounted on the host outside mmdebstrap's own mount namespace.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from executor.errors import ImageError
from executor.image import cache, disk, initramfs, recipe, root_tar, tool

MANIFEST: Final = "manifest.json"
SCHEMA: Final = "cordon.gold_manifest/1"
Progress = Callable[[str], None]

_TOOLS: Final = {
    "mmdebstrap": "mmdebstrap",
    "sqfstar": "squashfs-tools",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "unshare": "util-linux",
}
"""Program -> Debian package that brings it."""
_EXT4_OPTIONS: Final = "quotatype=prjquota,lazy_itable_init=0,nodiscard,root_owner=0:0"


def file_digest(path: Path) -> str:
    """Hex SHA-256 of the file at `path`."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def build(work: Path, progress: Progress) -> None:
    """Build the image of this checkout's recipe in `work`; raises `ImageError` with what is missing or what failed."""
    plan = recipe.load_recipe()
    there = tool.search_path()
    missing = sorted({package for name, package in _TOOLS.items() if shutil.which(name, path=there) is None})
    if missing:
        raise ImageError(f"the gold image needs tools that are not installed: sudo apt-get install {' '.join(missing)}")
    inputs = work / "inputs"
    inputs.mkdir()
    progress(f"gold image: fetching protobuf {plan.protobuf_version}")
    _fetch_wheel(plan, inputs)
    for source in recipe.RECIPE_DIR.iterdir():
        if source.suffix in {".c", ".cpp", ".h", ".sh"}:
            shutil.copy(source, inputs)
    shutil.copy(recipe.ORACLE, inputs)
    progress(f"gold image: Debian {plan.suite} with {len(plan.packages)} packages and what they need (about a minute)")
    _debootstrap(plan, work, progress)
    progress("gold image: applying the capability map")
    parts = root_tar.convert(plan, work / "root.tar", work / "guest.tar")
    progress("gold image: root file system")
    tool.run(
        ["sqfstar", "-quiet", "-no-progress", "-noI", "-noD", "-noF", "-noX", "-root-mode", "0755",
         str(work / "root.squashfs")],
        stdin=work / "guest.tar",
        # Not -mkfs-time: only this also covers the root folder, which a tar cannot describe.
        env={"SOURCE_DATE_EPOCH": str(plan.source_date_epoch)},
    )  # fmt: skip
    progress("gold image: disk")
    _assemble(plan, work)
    (work / "vmlinuz").write_bytes(parts.kernel)
    (work / "initrd.img").write_bytes(initramfs.initramfs(parts.init, parts.boot_modules(plan.boot_modules)))
    _write_manifest(plan, work, parts)
    for leftover in ("root.tar", "guest.tar", "root.squashfs", "disk.raw"):
        (work / leftover).unlink(missing_ok=True)
    cache.remove_tree(inputs)
    cache.remove_tree(work / "tmp")
    progress("gold image: done")


def _fetch_wheel(plan: recipe.Recipe, inputs: Path) -> None:
    """Download the pinned wheel for the guest's Python through pip, checked by hash."""
    wanted = inputs / "requirements.txt"
    wanted.write_text(f"protobuf=={plan.protobuf_version} --hash=sha256:{plan.protobuf_sha256}\n", encoding="utf-8")
    argv = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", "--implementation=cp", "--python-version=3.11", "--abi=abi3",
        "--platform=manylinux2014_x86_64", "--require-hashes", f"--requirement={wanted}", f"--dest={inputs}",
    ]  # fmt: skip
    tool.run(argv, env={name: value for name, value in os.environ.items() if name != "PATH"})
    wanted.unlink()


def _debootstrap(plan: recipe.Recipe, work: Path, progress: Progress) -> None:
    (work / "tmp").mkdir()
    argv = [
        "mmdebstrap", f"--variant={plan.variant}", f"--components={','.join(plan.components)}",
        f"--include={','.join(plan.packages)}", '--customize-hook=sh "$CORDON_INPUTS/customize.sh" "$1"',
        "--mode=root" if os.geteuid() == 0 else "--mode=unshare", plan.suite, str(work / "root.tar"),
    ]  # fmt: skip
    if os.geteuid() == 0:
        # A mount namespace of its own: when the build is killed, nothing stays mounted below the folder to be removed.
        argv = ["unshare", "--mount", "--propagation=private", *argv]

    def line(text: str) -> None:
        if text.startswith("I: ") and text.endswith("..."):
            progress(f"gold image: {text[3:-3]}")

    try:
        tool.run(
            argv,
            env={
                "SOURCE_DATE_EPOCH": str(plan.source_date_epoch),
                "TMPDIR": str(work / "tmp"),
                "CORDON_INPUTS": str(work / "inputs"),
            },
            line=line,
        )
    except ImageError as error:
        if os.geteuid() != 0:
            raise ImageError(
                f"{error}\nWithout root the gold image needs user namespaces and a range of ids in /etc/subuid "
                "(package uidmap); or run `sudo cordon image build` with the same CORDON_CACHE"
            ) from error
        raise


def _assemble(plan: recipe.Recipe, work: Path) -> None:
    """Put the two file systems on one disk and convert it; the temporary raw file is sparse."""
    raw = work / "disk.raw"
    where = disk.layout((work / "root.squashfs").stat().st_size, plan.workspace_mib)
    with raw.open("wb") as out, (work / "root.squashfs").open("rb") as root:
        out.write(disk.partition_table(where))
        out.seek(where.root_start)
        shutil.copyfileobj(root, out, 1024 * 1024)
        out.truncate(where.total)
    argv = [
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-L", "workspace",
        "-O", "quota,project,^has_journal,^resize_inode,^metadata_csum,uninit_bg",
        "-U", plan.workspace_uuid,
        "-E", f"offset={where.workspace_start},hash_seed={plan.workspace_hash_seed},{_EXT4_OPTIONS}",
        str(raw), f"{plan.workspace_mib}m",
    ]  # fmt: skip
    tool.run(argv, env={"E2FSPROGS_FAKE_TIME": str(plan.source_date_epoch), "MKE2FS_CONFIG": os.devnull})
    tool.run(
        ["qemu-img", "convert", "-q", "-m", "1", "-f", "raw", "-O", "qcow2", str(raw), str(work / "gold.qcow2")], env={}
    )


def _write_manifest(plan: recipe.Recipe, work: Path, parts: root_tar.Parts) -> None:
    files = {
        name: {"bytes": (work / name).stat().st_size, "sha256": file_digest(work / name)}
        for name in ("gold.qcow2", "vmlinuz", "initrd.img")
    }
    for name in files:
        (work / name).chmod(0o444)
    record = {
        "schema": SCHEMA,
        "suite": plan.suite,
        "kernel": parts.kernel_release,
        "cmdline": plan.cmdline,
        "source_date_epoch": plan.source_date_epoch,
        "protobuf": plan.protobuf_version,
        "files": files,
        "root_sha256": file_digest(work / "root.squashfs"),
        "capabilities": {name: sorted(found) for name, found in sorted(parts.executables.by_capability.items())},
        "packages": {name: version for name, version, _arch in (line.split() for line in parts.packages)},
    }
    manifest = work / MANIFEST
    manifest.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    manifest.chmod(0o444)
