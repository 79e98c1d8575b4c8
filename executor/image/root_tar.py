"""Turns root.tar as mmdebstrap made it into guest.tar, by the rules of `tree`; takes out what boots the guest."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

from executor.image import initramfs, recipe, tree

_MODULES: Final = "usr/lib/modules/"
_KERNEL: Final = "boot/vmlinuz-"
_INIT: Final = "opt/cordon/bin/init"
_PACKAGES: Final = "opt/cordon/packages.txt"
_FOLDERS: Final = ("opt/cordon/modules", "opt/cordon/exec.d", "dev", "run", "tmp", "proc", "sys")
"""Made anew: mount points, whose contents are dropped, and folders of this module's own files."""


@dataclass(slots=True)
class Parts:
    """What leaves the tar for somewhere else than the root file system."""

    kernel: bytes = b""
    kernel_release: str = ""
    init: bytes = b""
    packages: tuple[str, ...] = ()
    modules: dict[str, bytes] = field(default_factory=dict)
    """Path below the release's folder -> content."""
    deps: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    executables: tree.Executables = field(default_factory=tree.Executables)

    def boot_modules(self, wanted: Sequence[str]) -> list[tuple[str, bytes]]:
        """File name and content of `wanted` and what they need, in load order."""
        return [(base_name(file), self.modules[file]) for file in initramfs.load_order(wanted, self.deps)]

    def take(self, path: str, content: bytes) -> bool:
        """Take the file at `path` out if it is one of these parts; whether it must not go into the root."""
        if path.startswith(_MODULES):
            inner = path.split("/", 4)[4]
            if inner.startswith("kernel/"):
                self.modules[inner] = content
            elif inner == "modules.dep":
                self.deps = initramfs.parse_modules_dep(content.decode())
        elif path.startswith(_KERNEL):
            self.kernel, self.kernel_release = content, path.removeprefix(_KERNEL)
        elif path == _INIT:
            self.init = content
        elif path == _PACKAGES:
            self.packages = tuple(content.decode().splitlines())
        else:
            return False
        return True


def base_name(file: str) -> str:
    """The last component of `file`."""
    return file.rpartition("/")[2]


def wants(path: str) -> bool:
    """Whether `Parts.take` looks at the file at `path`: everything else is copied without being read whole."""
    return path.startswith((_MODULES, _KERNEL)) or path in {_INIT, _PACKAGES}


def convert(plan: recipe.Recipe, source_path: Path, target_path: Path) -> Parts:
    """Write the guest's tar and hand back the parts taken out of it."""
    text = recipe.CAPABILITY_MAP.read_text(encoding="utf-8")
    capabilities = tree.parse_map(text)
    parts = Parts()
    with (
        tarfile.open(source_path) as source,
        tarfile.open(target_path, "w", format=tarfile.GNU_FORMAT) as target,
    ):
        for member in source:
            path = member.name.removeprefix("./").strip("/")
            content = source.extractfile(member) if member.isreg() else None
            if content and wants(path) and parts.take(path, content.read()):
                continue
            if not path or path.startswith(_MODULES) or tree.is_dropped(path, plan.drop, plan.keep):
                continue
            _normalise(member, path, plan.source_date_epoch)
            if member.isreg():
                decided = tree.attributes(f"/{path}", member.mode, member.gid, capabilities)
                member.mode, member.gid = decided.mode, decided.gid
                if decided.capability:
                    parts.executables.add(decided.capability, f"/{path}")
            target.addfile(member, content)
        for folder in _FOLDERS:
            _add(target, folder, None, plan.source_date_epoch)
        for name, data in _own_files(plan, text, capabilities, parts).items():
            _add(target, name, data, plan.source_date_epoch)
    return parts


def _normalise(member: tarfile.TarInfo, path: str, epoch: int) -> None:
    member.name = path
    member.linkname = member.linkname.removeprefix("./") if member.islnk() else member.linkname
    member.pax_headers = {}
    member.uname = member.gname = ""
    member.mtime = min(int(member.mtime), epoch)
    member.mode &= 0o1777


def _own_files(plan: recipe.Recipe, text: str, capabilities: tree.CapabilityMap, parts: Parts) -> dict[str, bytes]:
    """Files the agent and the launcher read: the map, what each capability may execute, modules for later."""
    orders = [initramfs.load_order([name], parts.deps) for name in plan.late_modules]
    return {
        "opt/cordon/capability_map.json": text.encode(),
        # One line for each module that may be wanted: the files to load for it, in order.
        "opt/cordon/late_modules": "".join(" ".join(map(base_name, order)) + "\n" for order in orders).encode(),
        **{f"opt/cordon/modules/{base_name(file)}": parts.modules[file] for order in orders for file in order},
        "opt/cordon/exec.d/system": "".join(f"{name}\n" for name in sorted(capabilities.system)).encode(),
        **{
            f"opt/cordon/exec.d/{tree.list_name(name)}": parts.executables.listing(name) for name in capabilities.groups
        },
    }


def _add(target: tarfile.TarFile, name: str, data: bytes | None, mtime: int) -> None:
    member = tarfile.TarInfo(name)
    member.mtime = mtime
    if data is None:
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        target.addfile(member)
    else:
        member.size, member.mode = len(data), 0o644
        target.addfile(member, BytesIO(data))
