"""Calls on who a process is: users, groups, capabilities, and whom it may look into."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from executor.sim.calls.table import call, raw
from executor.sim.files.nodes import error
from executor.sim.kernel.process import EVERY, Credentials, Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


@call("getpid", "getpid")
def getpid(k: Kernel, p: Process) -> int:
    """Its id."""
    return p.pid


@call("getppid", "getppid")
def getppid(k: Kernel, p: Process) -> int:
    """Its parent's."""
    return p.parent.pid if p.parent else 0


for _name, _value in (
    ("getuid", lambda c: c.uid[0]),
    ("geteuid", lambda c: c.uid[1]),
    ("getgid", lambda c: c.gid[0]),
    ("getegid", lambda c: c.gid[1]),
    ("getgroups", lambda c: list(c.groups)),
    ("getresuid", lambda c: list(c.uid)),
    ("getresgid", lambda c: list(c.gid)),
):
    call(_name, _name)(lambda _k, p, _value=_value: _value(p.credentials))


for _number, _read in (
    ("getpid", lambda p: p.pid),
    ("getppid", lambda p: p.parent.pid if p.parent else 0),
    ("getuid", lambda p: p.credentials.uid[0]),
    ("geteuid", lambda p: p.credentials.uid[1]),
    ("gettid", lambda p: p.pid),
):
    raw(_number)(lambda _k, p, _a, _read=_read: _read(p))


def _ids(p: Process, name: str, wanted: list[int], capability: str) -> tuple[int, int, int]:
    """New real, effective and saved ids; -1 keeps one."""
    now: tuple[int, int, int] = getattr(p.credentials, name)
    made = [before if asked in {-1, 0xFFFFFFFF} else asked for before, asked in zip(now, wanted, strict=True)]
    if not p.has(capability) and any(one not in now for one in made):
        raise error(errno.EPERM)
    return made[0], made[1], made[2]


def _set_uid(p: Process, wanted: list[int]) -> None:
    uid = _ids(p, "uid", wanted, "SETUID")
    was_root, is_root = 0 in p.credentials.uid, 0 in uid
    who = replace(p.credentials, uid=uid, fsuid=uid[1])
    if was_root and not is_root:
        who = replace(who, effective=0, permitted=0, ambient=0)
    elif who.uid[1] == 0 and p.credentials.uid[1] != 0:
        who = replace(who, effective=who.permitted)
    p.credentials = who


@call("setresuid", "setresuid")
def setresuid(k: Kernel, p: Process, real: int, effective: int, saved: int) -> None:
    """setresuid."""
    _set_uid(p, [real, effective, saved])


@call("setreuid", "setreuid")
def setreuid(k: Kernel, p: Process, real: int, effective: int) -> None:
    """setreuid."""
    _set_uid(p, [real, effective, -1])


@call("setuid", "setuid")
def setuid(k: Kernel, p: Process, uid: int) -> None:
    """setuid: all three for who may, else the effective one."""
    _set_uid(p, [uid, uid, uid] if p.has("SETUID") else [-1, uid, -1])


@raw("setuid")
def raw_setuid(k: Kernel, p: Process, a: list[Any]) -> None:
    """setuid by number."""
    setuid(k, p, a[0])


@call("seteuid", "setresuid")
def seteuid(k: Kernel, p: Process, uid: int) -> None:
    """seteuid."""
    _set_uid(p, [-1, uid, -1])


def _set_gid(p: Process, wanted: list[int]) -> None:
    p.credentials = replace(p.credentials, gid=_ids(p, "gid", wanted, "SETGID"))


@call("setresgid", "setresgid")
def setresgid(k: Kernel, p: Process, real: int, effective: int, saved: int) -> None:
    """setresgid."""
    _set_gid(p, [real, effective, saved])


@call("setregid", "setregid")
def setregid(k: Kernel, p: Process, real: int, effective: int) -> None:
    """setregid."""
    _set_gid(p, [real, effective, -1])


@call("setgid", "setgid")
def setgid(k: Kernel, p: Process, gid: int) -> None:
    """setgid."""
    _set_gid(p, [gid, gid, gid] if p.has("SETGID") else [-1, gid, -1])


@raw("setgid")
def raw_setgid(k: Kernel, p: Process, a: list[Any]) -> None:
    """setgid by number."""
    setgid(k, p, a[0])


@call("setegid", "setresgid")
def setegid(k: Kernel, p: Process, gid: int) -> None:
    """setegid."""
    _set_gid(p, [-1, gid, -1])


@call("setgroups", "setgroups")
def setgroups(k: Kernel, p: Process, groups: list[int]) -> None:
    """setgroups."""
    p.need("SETGID")
    p.credentials = replace(p.credentials, groups=tuple(groups))


@raw("setfsuid")
def setfsuid(k: Kernel, p: Process, a: list[Any]) -> int:
    """Never fails; returns who it was."""
    before, wanted = p.credentials.fsuid, a[0]
    if wanted in p.credentials.uid or wanted == before or p.has("SETUID"):
        p.credentials = replace(p.credentials, fsuid=wanted)
    return before


@raw("capset")
def capset(k: Kernel, p: Process, a: list[Any]) -> None:
    """Capabilities taken up or put down: nothing that is not permitted."""
    words = [int.from_bytes(a[1].data[at : at + 4], "little") for at in range(0, 24, 4)]
    effective, permitted, inheritable = (words[at] | words[at + 3] << 32 for at in range(3))
    effective, permitted = effective & EVERY, permitted & EVERY
    who = p.credentials
    if permitted & ~who.permitted or effective & ~permitted:
        raise error(errno.EPERM)
    if inheritable & ~(who.inheritable | who.permitted) and not p.has("SETPCAP"):
        raise error(errno.EPERM)
    p.credentials = replace(
        who, effective=effective, permitted=permitted, inheritable=inheritable, ambient=who.ambient & permitted
    )


def may_look(p: Process, other: Process) -> bool:
    """Whether `p` may look into `other` (the ptrace check for reading, by file-system ids)."""
    if p is other or p.has("SYS_PTRACE"):
        return True
    who, them = p.credentials, other.credentials
    same = {who.fsuid} == set(them.uid) and {who.gid[1]} == set(them.gid)
    return same and other.dumpable and not them.permitted & ~who.permitted


def root_credentials() -> Credentials:
    """Who the guest's own processes are."""
    return Credentials(effective=EVERY, permitted=EVERY, bounding=EVERY)
