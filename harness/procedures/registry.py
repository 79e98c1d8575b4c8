"""Which procedures there are, and what arguments each takes: read from the functions themselves."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, get_args, get_origin, get_type_hints

from executor.errors import BugError
from harness.judgement.facts import Facts

_KINDS: Final[Mapping[Any, str]] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list[str]: "a list of texts",
    list[int]: "a list of whole numbers",
}
"""What an argument may be annotated with, and what a person would call it."""
_found: dict[str, Registered] = {}


@dataclass(frozen=True, slots=True)
class Registered:
    """One procedure."""

    name: str
    call: Callable[..., Facts]
    unsimulated: str
    """Why the simulator cannot show it; empty where it can."""
    arguments: Mapping[str, Any]
    """Name -> type."""
    required: frozenset[str]

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.call) or "").partition("\n")[0]

    def complaints(self, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What is wrong with `given` arguments, as (name or empty, message)."""
        for name, value in given.items():
            if name not in self.arguments:
                yield name, f"{self.name} takes no such argument; it takes {', '.join(self.arguments) or 'none'}"
            elif not _fits(value, self.arguments[name]):
                yield name, f"expected {_KINDS[self.arguments[name]]}"
        for name in sorted(self.required - given.keys()):
            yield "", f"{self.name} needs the argument {name}"


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is list:
        (inner,) = get_args(kind)
        return isinstance(value, list) and all(_fits(item, inner) for item in value)
    return type(value) is kind


def procedure(*, unsimulated: str = "") -> Callable[[Callable[..., Facts]], Callable[..., Facts]]:
    """Register the function below under its name, `-` for `_`. `unsimulated`: why it needs a real machine."""

    def register(call: Callable[..., Facts]) -> Callable[..., Facts]:
        name = call.__name__.replace("_", "-")
        first, *parameters = inspect.signature(call).parameters.values()
        hints = get_type_hints(call)
        if first.name != "stage" or name in _found or not call.__doc__:
            raise BugError(f"procedure {name}: wants a stage first, a name of its own and a docstring")
        if wrong := [one.name for one in parameters if hints.get(one.name) not in _KINDS]:
            raise BugError(f"procedure {name}: {', '.join(wrong)} is annotated with nothing a document can hold")
        arguments = {one.name: hints[one.name] for one in parameters}
        required = frozenset(one.name for one in parameters if one.default is inspect.Parameter.empty)
        _found[name] = Registered(name, call, unsimulated, arguments, required)
        return call

    return register


@cache
def _load() -> Mapping[str, Registered]:
    package = importlib.import_module("harness.procedures")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"harness.procedures.{module.name}")
    return _found


def names() -> tuple[str, ...]:
    """Every procedure, sorted."""
    return tuple(sorted(_load()))


def find(name: str) -> Registered | None:
    """The procedure of that name; None when there is none."""
    return _load().get(name)
