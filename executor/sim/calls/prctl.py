"""prctl, and the filter a process puts upon itself."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.table import Memory, raw
from executor.sim.files.nodes import error
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

PRCTL: Final = {1: "death", 2: "ask", 3: "ask", 4: "dumpable", 15: "name", 16: "ask", 36: "subreaper"}


@raw("prctl")
def prctl(k: Kernel, p: Process, a: list[Any]) -> int:
    """The options probes use."""
    option, who = a[0], p.credentials
    if option == 39:
        return int(who.no_new_privs)
    if option == 38:
        if a[1] != 1 or a[2] or a[3] or a[4]:
            raise error(errno.EINVAL)
        p.credentials = replace(who, no_new_privs=True)
    elif option == 28:
        p.need("SETPCAP")
        p.credentials = replace(who, securebits=a[1])
    elif option == 27:
        return who.securebits
    elif option == 24:
        p.need("SETPCAP")
        p.credentials = replace(who, bounding=who.bounding & ~(1 << a[1]))
    elif option == 23:
        return int(who.bounding >> a[1] & 1)
    elif option == 47:
        return _ambient(p, a)
    elif option == 4:
        p.dumpable = bool(a[1])
    elif option == 3:
        return int(p.dumpable)
    elif option == 22:
        _own_filter(k, p, a)
    elif option == 1:
        p.death_signal = a[1]
    elif option not in {15, 36, 0x59616D61}:
        raise UnmodelledError(f"prctl {option}")
    return 0


ALLOW_ALL: Final = bytes.fromhex("06000000 0000ff7f")
"""The program of a seccomp filter that allows everything: one instruction, return SECCOMP_RET_ALLOW."""


def _own_filter(k: Kernel, p: Process, a: list[Any]) -> None:
    """PR_SET_SECCOMP: whoever gains nothing by it may add a filter. Only one that changes nothing is modelled."""
    if a[1] != 2 or not isinstance(a[2], Memory):
        raise UnmodelledError("seccomp's strict mode")
    if not p.credentials.no_new_privs:
        p.need("SYS_ADMIN", errno.EACCES)
    count, where = int.from_bytes(a[2].data[:2], "little"), int.from_bytes(a[2].data[8:16], "little")
    if count != 1 or k.memory(p, where, len(ALLOW_ALL)) != ALLOW_ALL:
        raise UnmodelledError("a seccomp filter of the task's own")


def _ambient(p: Process, a: list[Any]) -> int:
    who, bit = p.credentials, 1 << a[2] if a[1] != 4 else 0
    if a[1] == 1:
        return int(bool(who.ambient & bit))
    if a[1] == 2:
        if not who.permitted & bit or not who.inheritable & bit:
            raise error(errno.EPERM)
        p.credentials = replace(who, ambient=who.ambient | bit)
    elif a[1] == 3:
        p.credentials = replace(who, ambient=who.ambient & ~bit)
    elif a[1] == 4:
        p.credentials = replace(who, ambient=0)
    return 0
