"""The gold image: found in the cache, or built there from Debian packages by the recipe in fixtures/gold_image.

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
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from executor import paths
from executor.errors import ImageError
from executor.image import cache, disk, initramfs, recipe, tree

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
    folder = cache.publish(images_dir(), key, lambda work: _build(work, progress), marker=MANIFEST)
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


def file_digest(path: Path) -> str:
    """Hex SHA-256 of the file at `path`."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _build(work: Path, progress: Progress) -> None:
    plan = recipe.load_recipe()
    missing = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool, path=_search_path()) is None})
    if missing:
        raise ImageError(f"the gold image needs tools that are not installed: sudo apt-get install {' '.join(missing)}")
    inputs = work / "inputs"
    inputs.mkdir()
    progress(f"gold image: fetching protobuf {plan.protobuf_version}")
    _fetch_wheel(plan, inputs)
    for source in recipe.RECIPE_DIR.iterdir():
        if source.suffix in {".c", ".sh"}:
            shutil.copy(source, inputs)
    progress(f"gold image: Debian {plan.suite} with {len(plan.packages)} packages and what they need (about a minute)")
    _debootstrap(plan, work, progress)
    progress("gold image: applying the capability map")
    parts = _filter_tar(plan, work)
    progress("gold image: root file system")
    _run(
        ["sqfstar", "-noI", "-noD", "-noF", "-noX", "-no-progress", "-mkfs-time", str(plan.source_date_epoch),
         "-quiet", str(work / "root.squashfs")],
        stdin=work / "guest.tar",
        env={},
    )  # fmt: skip
    progress("gold image: disk")
    _assemble(plan, work)
    kernel, modules = parts.boot(plan.boot_modules)
    (work / "vmlinuz").write_bytes(kernel)
    (work / "initrd.img").write_bytes(initramfs.initramfs(parts.init, modules))
    _write_manifest(plan, work, parts)
    for leftover in ("root.tar", "guest.tar", "root.squashfs", "disk.raw"):
        (work / leftover).unlink(missing_ok=True)
    cache.remove_tree(inputs)
    cache.remove_tree(work / "tmp")
    progress("gold image: done")


def _search_path() -> str:
    """The PATH, with the folders of system tools that unprivileged users often lack."""
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


def _run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: Path | None = None,
    line: Callable[[str], None] | None = None,
) -> None:
    """Run a tool to its end in a session of its own; an exception, also Ctrl-C, ends everything it started.

    Raises `ImageError` with the last lines it wrote.
    """
    source = stdin.open("rb") if stdin else None
    process = subprocess.Popen(
        argv,
        stdin=source or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": _search_path(), "LC_ALL": "C.UTF-8", "HOME": "/", **env},
        start_new_session=True,
    )
    tail: list[str] = []
    try:
        assert process.stdout is not None  # noqa: S101 - asked for as a pipe above
        for raw in process.stdout:
            text = raw.decode(errors="replace").rstrip()
            tail = [*tail[-14:], text]
            if line:
                line(text)
        code = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        if process.stdout:
            process.stdout.close()
        if source:
            source.close()
    if code != 0:
        raise ImageError(f"{argv[0]} failed with {code}:\n  " + "\n  ".join(tail))


def _fetch_wheel(plan: recipe.Recipe, inputs: Path) -> None:
    """Download the pinned wheel for the guest's Python through pip, checked by hash."""
    wanted = inputs / "requirements.txt"
    wanted.write_text(f"protobuf=={plan.protobuf_version} --hash=sha256:{plan.protobuf_sha256}\n", encoding="utf-8")
    argv = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", "--implementation=cp", "--python-version=3.11", "--abi=abi3",
        "--platform=manylinux2014_x86_64", "--require-hashes", f"--requirement={wanted}", f"--dest={inputs}",
    ]  # fmt: skip
    _run(argv, env={name: value for name, value in os.environ.items() if name != "PATH"})
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
        if text.startswith(("I: ", "E: ")):
            progress(f"gold image: {text[3:]}")

    try:
        _run(
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


@dataclass(slots=True)
class _Parts:
    """What leaves the tar for somewhere else than the root file system."""

    kernel: bytes
    kernel_release: str
    module_files: dict[str, bytes]
    deps: dict[str, tuple[str, tuple[str, ...]]]
    init: bytes
    packages: tuple[str, ...]
    executables: tree.Executables

    def boot(self, wanted: Sequence[str]) -> tuple[bytes, list[tuple[str, bytes]]]:
        """The kernel, and the modules in load order."""
        order = initramfs.load_order(wanted, self.deps)
        return self.kernel, [(file.rpartition("/")[2], self.module_files[file]) for file in order]


def _filter_tar(plan: recipe.Recipe, work: Path) -> _Parts:
    """Apply the rules of `tree` to root.tar, giving guest.tar, and take out the kernel, the modules and init."""
    text = recipe.CAPABILITY_MAP.read_text(encoding="utf-8")
    capabilities = tree.parse_map(text)
    executables = tree.Executables()
    modules: dict[str, bytes] = {}
    small: dict[str, bytes] = {}
    with (
        tarfile.open(work / "root.tar") as source,
        tarfile.open(work / "guest.tar", "w", format=tarfile.GNU_FORMAT) as target,
    ):
        for member in source:
            path = member.name.removeprefix("./").strip("/")
            content = source.extractfile(member) if member.isreg() else None
            if path.startswith("usr/lib/modules/"):
                inner = path.split("/", 4)[4:]
                if content and inner and inner[0].startswith("kernel/"):
                    modules[inner[0]] = content.read()
                elif content and inner == ["modules.dep"]:
                    small["modules.dep"] = content.read()
                continue
            if content and path.startswith("boot/vmlinuz-"):
                small["vmlinuz"] = content.read()
                small["release"] = path.removeprefix("boot/vmlinuz-").encode()
            if path in {"opt/cordon/bin/init", "opt/cordon/packages.txt"} and content:
                small[path] = content.read()
                continue
            if not path or tree.is_dropped(path, plan.drop, plan.keep):
                continue
            member.name = path
            member.pax_headers = {}
            member.uname = member.gname = ""
            member.mtime = min(int(member.mtime), plan.source_date_epoch)
            member.mode &= 0o1777
            if member.isreg():
                decided = tree.attributes(f"/{path}", member.mode, member.gid, capabilities)
                member.mode, member.gid = decided.mode, decided.gid
                if decided.capability:
                    executables.add(decided.capability, f"/{path}")
            if member.islnk():
                member.linkname = member.linkname.removeprefix("./")
            target.addfile(member, content)
        deps = initramfs.parse_modules_dep(small["modules.dep"].decode())
        late = initramfs.load_order(plan.late_modules, deps)
        extra = {
            "opt/cordon/capability_map.json": text.encode(),
            "opt/cordon/late_modules": "".join(f"{file.rpartition('/')[2]}\n" for file in late).encode(),
            **{f"opt/cordon/modules/{file.rpartition('/')[2]}": modules[file] for file in late},
            **{f"opt/cordon/exec.d/{tree.list_name(name)}": executables.listing(name) for name in capabilities.groups},
        }
        extra["opt/cordon/exec.d/system"] = "".join(f"{name}\n" for name in sorted(capabilities.system)).encode()
        for folder in ("opt/cordon/modules", "opt/cordon/exec.d", "dev", "run", "tmp", "proc", "sys"):
            _add(target, folder, None, plan.source_date_epoch)
        for name, data in extra.items():
            _add(target, name, data, plan.source_date_epoch)
    return _Parts(
        kernel=small["vmlinuz"],
        kernel_release=small["release"].decode(),
        module_files=modules,
        deps=deps,
        init=small["opt/cordon/bin/init"],
        packages=tuple(small["opt/cordon/packages.txt"].decode().splitlines()),
        executables=executables,
    )


def _add(target: tarfile.TarFile, name: str, data: bytes | None, mtime: int) -> None:
    member = tarfile.TarInfo(name)
    member.mtime = mtime
    if data is None:
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        target.addfile(member)
    else:
        member.size, member.mode = len(data), 0o644
        target.addfile(member, BytesIO(data))


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
        "-E", f"offset={where.workspace_start},hash_seed={plan.workspace_hash_seed},quotatype=prjquota,"
        "lazy_itable_init=0,nodiscard,root_owner=0:0",
        str(raw), f"{plan.workspace_mib}m",
    ]  # fmt: skip
    _run(argv, env={"E2FSPROGS_FAKE_TIME": str(plan.source_date_epoch), "MKE2FS_CONFIG": os.devnull})
    _run(
        ["qemu-img", "convert", "-q", "-m", "1", "-f", "raw", "-O", "qcow2", str(raw), str(work / "gold.qcow2")], env={}
    )


def _write_manifest(plan: recipe.Recipe, work: Path, parts: _Parts) -> None:
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
