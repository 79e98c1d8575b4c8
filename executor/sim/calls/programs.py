"""Calls that make a process another program: execve, its scripts, and the loader run as a program."""

from __future__ import annotations

import errno
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.table import Memory, call, raw
from executor.sim.files.mounts import NOEXEC, NOSUID, Place
from executor.sim.files.nodes import error
from executor.sim.kernel.ends import EndedError, UnmodelledError
from executor.sim.kernel.process import EXECUTE, READ, SEARCH, Process
from executor.sim.kernel.seccomp import pass_filter

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

ELF: Final = b"\x7fELFcordon-sim:"
"""In front of a program's name: what the image's programs consist of here, so that a copy is the same program."""
SHEBANGS: Final = 5


@call("execve", "execve")
def execve(k: Kernel, p: Process, path: str, argv: list[str], environment: list[list[str]]) -> None:
    """execve."""
    place = p.find(path)
    _execute(k, p, place, path, argv, environment)


@call("fexecve", "execve")
def fexecve(k: Kernel, p: Process, number: int, argv: list[str], environment: list[list[str]]) -> None:
    """execve by way of /proc, as the C library does it."""
    opened = p.file(number)
    if opened.place is None:
        raise error(errno.EACCES)
    _execute(k, p, opened.place, f"/proc/self/fd/{number}", argv, environment)


def _execute(k: Kernel, p: Process, place: Place, path: str, argv: list[str], environment: list[list[str]]) -> None:
    program, argv = runnable(p, place, path, argv, SHEBANGS)
    p.argv, p.environment = tuple(argv), {one[0]: one[1] for one in environment}
    p.executable = p.path_of(place)
    become(p, place)
    p.caught.clear()
    p.dumpable = True
    for number in [one for one, (_, close) in p.files.items() if close]:
        p.drop(number)
    k.start_puppet(p, program)
    raise EndedError


def become(p: Process, place: Place) -> None:
    """Who it is after execve: somebody else by a set-user-id file, where mount and no_new_privs let it."""
    node, who = place.dentry.node, p.credentials
    if node.mode & (stat.S_ISUID | stat.S_ISGID) and not place.mount.flags & NOSUID and not who.no_new_privs:
        if node.mode & stat.S_ISUID:
            who = replace(who, uid=(who.uid[0], node.uid, node.uid))
        if node.mode & stat.S_ISGID and node.mode & 0o010:
            who = replace(who, gid=(who.gid[0], node.gid, node.gid))
    p.credentials = who.executed()


@call("load")
def load(k: Kernel, p: Process, path: str, argv: list[str]) -> None:
    """What the loader does with a program it is told: open, read, map as code, and be it from then on."""
    for name, arguments in (("openat", (0, 0, 0)), ("mmap", (0, 4096, 5, 2))):
        pass_filter(k, p, name, arguments)
    place = p.find(path)
    node = place.dentry.node
    if node.kind != stat.S_IFREG:
        raise error(errno.EACCES)
    p.check(place, READ)
    if place.mount.flags & NOEXEC:
        raise error(errno.EPERM)
    head = bytes(node.data[:256])
    if not head.startswith(ELF):
        raise UnmodelledError("the loader on what is no program of the image")
    name = bytes(node.data[len(ELF) :]).decode()
    if name not in MODELLED:
        raise UnmodelledError(f"the program {name}")
    p.argv = tuple(argv)
    k.start_puppet(p, name)
    raise EndedError


def runnable(p: Process, place: Place, path: str, argv: list[str], depth: int) -> tuple[str, list[str]]:
    """The program behind a file and its arguments; raises what execve answers."""
    node = place.dentry.node
    if node.kind != stat.S_IFREG:
        raise error(errno.EACCES)
    if place.mount.flags & NOEXEC or not p.permits(node, SEARCH):
        raise error(errno.EACCES)
    p.check_landlock(place, EXECUTE)
    head = bytes(node.data[:256])
    if head.startswith(ELF):
        name = bytes(node.data[len(ELF) :]).decode()
        loader = p.find("/lib64/ld-linux-x86-64.so.2")  # opened by the kernel, so it has to be executable too
        p.check_landlock(loader, EXECUTE)
        if name not in MODELLED:
            raise UnmodelledError(f"the program {name}")
        return name, argv or [path]
    if head.startswith(b"#!"):
        if depth == 0:
            raise error(errno.ELOOP)
        words = head.split(b"\n", 1)[0][2:].decode(errors="replace").strip().split(None, 1)
        if not words:
            raise error(errno.ENOEXEC)
        return runnable(p, p.find(words[0]), words[0], [*words, path, *argv[1:]], depth - 1)
    if head.startswith(b"\x7fELF"):
        raise UnmodelledError("a compiled program")
    raise error(errno.ENOEXEC)


MODELLED: Final[set[str]] = set()
"""Names of programs the puppet has; filled by world.py from the puppet's own tables."""


@raw("execveat")
def execveat(k: Kernel, p: Process, a: list[Any]) -> None:
    """execveat of an open file without a path."""
    name = a[1].text if isinstance(a[1], Memory) else ""
    if name or not a[4] & 0x1000:
        raise UnmodelledError("execveat with a path")
    opened = p.file(a[0])
    if opened.place is None:
        raise error(errno.EACCES)
    _execute(k, p, opened.place, f"/dev/fd/{a[0]}", ["true"], [])
