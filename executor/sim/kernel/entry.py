"""How a call enters the kernel: the seccomp filter, then the handler that answers it."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.registered import ENTRIES, RAW
from executor.sim.calls.table import Memory, Raw
from executor.sim.files.nodes import error
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.kernel.filter import numbers
from executor.sim.kernel.seccomp import I386, X86_64, kill, pass_filter

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel
    from executor.sim.kernel.process import Process

X32: Final = 0x40000000


def dispatch(k: Kernel, p: Process, message: Sequence[Any], *, again: bool = False) -> Any:
    """The answer to one call. `again`: it was let through before and has waited since."""
    name, *arguments = message
    if name == "syscall":
        return _by_number(k, p, int(arguments[0]), arguments[1], again=again)
    if name == "unmodelled":
        raise UnmodelledError(str(arguments[0]))
    if name == "interrupt":
        return _interrupt(k, p, int(arguments[0]))
    entry = ENTRIES.get(name)
    if entry is None:
        raise UnmodelledError(f"the call {name}")
    if entry.system_call and not again:
        pass_filter(k, p, entry.system_call, entry.filtered(*arguments))
    return entry.handler(k, p, *arguments)


def _by_number(k: Kernel, p: Process, number: int, given: Sequence[Any], *, again: bool) -> Mapping[str, Any]:
    """A system call by its number."""
    number &= 0xFFFFFFFF
    arguments = [Memory(one["bytes"], one["at"]) if isinstance(one, dict) else int(one) for one in given]
    registers = [(one.address or 1) if isinstance(one, Memory) else one for one in arguments]
    if number & X32 and p.filter is not None:
        kill(k, p, number, X86_64)
    name = numbers().get(number, "")
    if not again:
        pass_filter(k, p, name, registers)
    if not name:
        raise error(errno.ENOSYS)
    handler = RAW.get(name)
    if handler is None:
        raise UnmodelledError(f"the system call {name}")
    found = handler(k, p, [*arguments, 0, 0, 0, 0, 0, 0])
    made = found if isinstance(found, Raw) else Raw(int(found or 0))
    return {"ret": made.value, "out": made.out, "forked": made.forked}


def _interrupt(k: Kernel, p: Process, number: int) -> int:
    """int 0x80: the i386 entry, where a filter for x86_64 kills."""
    if p.filter is not None:
        kill(k, p, number, I386)
    if number != 20:
        raise UnmodelledError(f"the i386 system call {number}")
    return p.pid
