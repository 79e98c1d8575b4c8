"""What the agent tells the launcher, and the environment a task gets. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from executor.guest.errors import DeniedError

_HEAD: Final = struct.Struct("<III")
MAX_BYTES: Final = 1024 * 1024
"""Of one request; the launcher refuses twice as much, the kernel's own limit is near two MiB."""
_ALWAYS_DROPPED_PREFIXES: Final = ("LD_", "GLIBC_", "MALLOC_", "GCONV_")
_ALWAYS_DROPPED: Final = frozenset(
    {
        *("BASH_ENV", "ENV", "IFS", "SHELLOPTS", "BASHOPTS", "PS4", "LOCPATH", "NLSPATH", "TMPDIR"),
        *("HOSTALIASES", "RESOLV_HOST_CONF", "RES_OPTIONS", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"),
        *("PYTHONINSPECT", "PYTHONBREAKPOINT", "GCC_EXEC_PREFIX", "COMPILER_PATH"),
    }
)
"""Names that steer the loader, a shell or an interpreter; no allowlist brings them in."""


def encode(*, cwd: bytes, file: bytes, argv: Sequence[bytes], env: Mapping[str, bytes]) -> bytes:
    """The request's bytes; raises `DeniedError` for what cannot be passed on exactly as it is."""
    strings = [cwd, file, *argv, *(name.encode() + b"=" + value for name, value in env.items())]
    if not argv or any(b"\0" in item for item in strings):
        raise DeniedError("guest.bad_command", "an argument vector has at least one item and no NUL bytes")
    body = b"".join(item + b"\0" for item in strings)
    if len(body) > MAX_BYTES:
        raise DeniedError("guest.bad_command", f"arguments and environment of {len(body)} bytes are over {MAX_BYTES}")
    return _HEAD.pack(len(body), len(argv), len(env)) + body


def environment(
    defaults: Mapping[str, bytes], wanted: Iterable[tuple[str, bytes]], allowed: Iterable[str], *, enforced: bool = True
) -> dict[str, bytes]:
    """`defaults`, overlaid by what of `wanted` is in `allowed`; raises `DeniedError` for what hides something."""
    names = frozenset(allowed)
    found = dict(defaults)
    for name, value in wanted:
        plain = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()
        if enforced and (not plain or any(byte < 0x20 or byte == 0x7F for byte in value)):
            why = f"environment variable {name!r} has a control character or no plain name"
            raise DeniedError("guest.env_invalid", why)
        if enforced and (name not in names or _steers(name)):
            continue
        found[name] = value
    return found


def _steers(name: str) -> bool:
    return name in _ALWAYS_DROPPED or name.startswith(_ALWAYS_DROPPED_PREFIXES)
