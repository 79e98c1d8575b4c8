"""The parser behind `Intent.parse`: JSON-like data in, a frozen `Intent` out, or one located message.

Shape only: a path with `..` or a capability nobody knows passes, refusing it with a reason is the policy's work.
Sizes are bounded here, so that nothing later has to fear a hundred-megabyte request.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from executor.errors import InvalidInputError
from executor.intent import Artefact, Command, Endpoint, FileIn, Intent, Limits, Priority, Scope

MAX_COMMANDS: Final = 64
MAX_ARGV: Final = 1024
MAX_STRING: Final = 128 * 1024
"""Bytes of one argument: Linux's MAX_ARG_STRLEN."""
MAX_FILES: Final = 256
MAX_FILE_BYTES: Final = 8 * 1024 * 1024
MAX_ARTEFACTS: Final = 16
MAX_PATCH: Final = 1024 * 1024
_ABSENT: Final = object()
"""Stands for a field that is not there: what is mostly absent is not parsed, a third of a small intent's time."""
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class _Fields:
    """One mapping being read: every field is asked for once, and what is left over is an error."""

    def __init__(self, raw: object, where: str) -> None:
        if not isinstance(raw, Mapping):
            raise InvalidInputError(f"{where}: expected a mapping, found {_kind(raw)}")
        if bad := [key for key in raw if not isinstance(key, str)]:
            raise InvalidInputError(f"{where}: field names are strings, found {bad[0]!r}")
        self._left = dict(raw)
        self._known: list[str] = []
        self.where = where

    def take(self, name: str, default: Any = None) -> Any:
        self._known.append(name)
        return self._left.pop(name, default)

    def at(self, name: str) -> str:
        return f"{self.where}.{name}"

    def text(self, name: str, default: str | None = None) -> str:
        value = self.take(name, default)
        if value is None:
            raise InvalidInputError(f"{self.at(name)}: is required")
        return _text(value, self.at(name))

    def strings(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        return _strings(self.take(name, list(default)), self.at(name))

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise InvalidInputError(f"{self.at(name)}: {value!r} is none of {', '.join(allowed)}")
        return value

    def end(self) -> None:
        if self._left:
            name = min(self._left)
            raise InvalidInputError(f"{self.at(name)}: unknown field; there are {', '.join(sorted(self._known))}")


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), f"{value!r:.40}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(
            f"{where}: expected text, found {_kind(value)}; quote it if it looks like something else"
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{where}: holds half of a surrogate pair at character {error.start}") from None
    if size > MAX_STRING:
        raise InvalidInputError(f"{where}: {size} bytes is over {MAX_STRING}")
    return value


def _strings(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise InvalidInputError(f"{where}: expected a list of texts, found {_kind(value)}")
    return tuple(_text(item, f"{where}[{number}]") for number, item in enumerate(value))


def _items(value: object, where: str, at_most: int) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise InvalidInputError(f"{where}: expected a list, found {_kind(value)}")
    if len(value) > at_most:
        raise InvalidInputError(f"{where}: {len(value)} entries are over {at_most}")
    return list(value)


def _whole(value: object, where: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError(f"{where}: expected a whole number, found {_kind(value)}")
    if not low <= value <= high:
        raise InvalidInputError(f"{where}: {value} is outside {low}..{high}")
    return value


def parse_command(raw: object, where: str) -> Command:
    """`{argv: [...], cwd: ...}` as a `Command`; raises `InvalidInputError`."""
    entry = _Fields(raw, where)
    argv = entry.strings("argv")
    cwd = entry.text("cwd", "/workspace")
    entry.end()
    if not argv:
        raise InvalidInputError(f"{where}.argv: a command needs at least its program")
    if len(argv) > MAX_ARGV:
        raise InvalidInputError(f"{where}.argv: {len(argv)} arguments are over {MAX_ARGV}")
    return Command(argv, cwd)


def parse_commands(raw: object, where: str) -> tuple[Command, ...]:
    """A list of commands; raises `InvalidInputError`."""
    commands = tuple(
        parse_command(item, f"{where}[{number}]") for number, item in enumerate(_items(raw, where, MAX_COMMANDS))
    )
    if not commands:
        raise InvalidInputError(f"{where}: at least one command is required")
    return commands


def _file(raw: object, where: str) -> FileIn:
    entry = _Fields(raw, where)
    path = entry.text("path")
    text, encoded = entry.take("text"), entry.take("base64")
    mode = _whole(entry.take("mode", 0o644), entry.at("mode"), 0, 0o777)
    entry.end()
    if (text is None) == (encoded is None):
        raise InvalidInputError(f"{where}: give the content as either text or base64")
    if text is not None:
        if not isinstance(text, str):
            raise InvalidInputError(f"{where}.text: expected text, found {_kind(text)}")
        content = text.encode()
    else:
        try:
            content = base64.b64decode(_text_any(encoded, f"{where}.base64"), validate=True)
        except binascii.Error as error:
            raise InvalidInputError(f"{where}.base64: {error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise InvalidInputError(f"{where}: {len(content)} bytes is over {MAX_FILE_BYTES}")
    return FileIn(path, content, mode)


def _artefact(raw: object, where: str) -> Artefact:
    entry = _Fields(raw, where)
    artefact = Artefact(entry.text("name"), _decoded(entry.take("base64"), f"{where}.base64", where))
    claimed = entry.text("sha256", artefact.sha256)
    entry.end()
    if claimed != artefact.sha256:
        raise InvalidInputError(f"{where}.sha256: the content's is {artefact.sha256}")
    return artefact


def _decoded(encoded: object, at: str, where: str) -> bytes:
    try:
        content = base64.b64decode(_text_any(encoded, at), validate=True)
    except ValueError as error:  # binascii's own, and text that is not ASCII
        raise InvalidInputError(f"{at}: {error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise InvalidInputError(f"{where}: {len(content)} bytes is over {MAX_FILE_BYTES}")
    return content


def _text_any(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(f"{where}: expected text, found {_kind(value)}")
    return value


def _scope(raw: object, where: str) -> Scope:
    entry = _Fields(raw, where)
    scope = Scope(
        paths_read=entry.strings("paths_read", Scope().paths_read),
        paths_write=entry.strings("paths_write", Scope().paths_write),
        network="egress" if entry.choice("network", "deny_all", ("deny_all", "egress")) == "egress" else "deny_all",
        endpoints=tuple(
            _endpoint(item, f"{where}.endpoints[{number}]")
            for number, item in enumerate(_items(entry.take("endpoints", []), entry.at("endpoints"), 64))
        ),
    )
    entry.end()
    return scope


def _endpoint(raw: object, where: str) -> Endpoint:
    entry = _Fields(raw, where)
    host = entry.text("host")
    port = _whole(entry.take("port"), entry.at("port"), 1, 65535)
    proto = entry.choice("proto", "tcp", ("tcp", "udp"))
    entry.end()
    return Endpoint(host, port, "udp" if proto == "udp" else "tcp")


def _limits(raw: object, where: str) -> Limits:
    entry = _Fields(raw, where)
    default = Limits()
    values = {
        field.name: _whole(entry.take(field.name, getattr(default, field.name)), entry.at(field.name), 1, 2**31)
        for field in fields(Limits)
    }
    entry.end()
    return Limits(**values)


def _priority(value: object, where: str) -> Priority:
    if isinstance(value, str) and value.upper() in Priority.__members__:
        return Priority[value.upper()]
    if isinstance(value, int) and not isinstance(value, bool) and value in set(Priority):
        return Priority(value)
    raise InvalidInputError(f"{where}: {value!r} is none of {', '.join(Priority.__members__)}")


def _env(raw: object, where: str) -> dict[str, str]:
    if not isinstance(raw, Mapping):
        raise InvalidInputError(f"{where}: expected a mapping of names to texts, found {_kind(raw)}")
    return {_text(name, where): _text(value, f"{where}.{name}") for name, value in raw.items()}


def parse_intent(raw: Mapping[str, Any], *, where: str = "intent") -> Intent:
    """A frozen intent; raises `InvalidInputError` that starts with the field's place."""
    entry = _Fields(raw, where)
    intent = Intent(
        intent_id=entry.text("intent_id"),
        requester=entry.text("requester"),
        persona=entry.text("persona", ""),
        phase="production"
        if entry.choice("phase", "staging", ("staging", "production")) == "production"
        else "staging",
        priority=_priority(entry.take("priority", "NORMAL"), entry.at("priority")),
        commands=parse_commands(entry.take("commands"), entry.at("commands")),
        capabilities=entry.strings("capabilities", ("base:execute",)),
        env=_env(entry.take("env", {}), entry.at("env")),
        files=tuple(
            _file(item, f"{where}.files[{number}]")
            for number, item in enumerate(_items(entry.take("files", []), entry.at("files"), MAX_FILES))
        ),
        artefacts=tuple(
            _artefact(item, f"{where}.artefacts[{number}]")
            for number, item in enumerate(_items(entry.take("artefacts", []), entry.at("artefacts"), MAX_ARTEFACTS))
        ),
        patch=_patch(entry.take("patch", ""), entry.at("patch")),
        collect=entry.strings("collect"),
        scope=Scope()
        if (raw_scope := entry.take("scope", _ABSENT)) is _ABSENT
        else _scope(raw_scope, f"{where}.scope"),
        limits=Limits() if (asked := entry.take("limits", _ABSENT)) is _ABSENT else _limits(asked, f"{where}.limits"),
    )
    entry.end()
    for name in ("intent_id", "requester"):
        if not ID.fullmatch(getattr(intent, name)):
            raise InvalidInputError(f"{where}.{name}: letters, digits, dot, dash and underscore, at most 128")
    return intent


def _patch(value: object, where: str) -> str:
    text = _text_any(value, where)
    if len(text.encode(errors="surrogatepass")) > MAX_PATCH:
        raise InvalidInputError(f"{where}: over {MAX_PATCH} bytes")
    return text
