"""The table of calls: what a puppet or a raw system call asks, and the handler that answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel
from executor.sim.kernel.process import Process

H = TypeVar("H", bound=Callable[..., Any])
Handler = Callable[..., Any]
"""handler(kernel, process, *arguments) -> answer; raises OSError, WaitError or UnmodelledError."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A call as the library makes it: the system call it stands for, and the arguments a filter sees."""

    system_call: str
    handler: Handler
    filtered: Callable[..., Sequence[int]]


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory that a raw system call points to."""

    data: bytes
    address: int
    """Where it lies in the puppet, to be written back; 0 for what cannot be written."""

    @property
    def text(self) -> str:
        """Up to the first NUL."""
        return self.data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


@dataclass(slots=True)
class Raw:
    """The answer to a raw system call: what it returns, and memory it writes."""

    value: int = 0
    out: tuple[tuple[int, bytes], ...] = ()
    forked: bool = False


ENTRIES: Final[dict[str, Entry]] = {}
RAW: Final[dict[str, Callable[[Kernel, Process, Sequence[Any]], Raw | int | None]]] = {}
"""System call -> handler of its arguments as they stand in the registers, pointers as `Memory`."""


def text_of(argument: Any) -> str:
    """The text an argument points to; "" for one that is no pointer."""
    return argument.text if isinstance(argument, Memory) else ""


def _nothing(*_arguments: Any) -> Sequence[int]:
    return ()


def call(name: str, system_call: str = "", filtered: Callable[..., Sequence[int]] = _nothing) -> Callable[[H], H]:
    """Registers the handler of a library call; `system_call` "" is one no filter sees (it stands for bookkeeping)."""

    def register(handler: H) -> H:
        ENTRIES[name] = Entry(system_call, handler, filtered)
        return handler

    return register


def raw(*names: str) -> Callable[[H], H]:
    """Registers the handler of system calls made by number."""

    def register(handler: H) -> H:
        for name in names:
            RAW[name] = handler
        return handler

    return register
