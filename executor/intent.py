"""Intents: what an agent asks to do, parsed at the door into frozen values.

An intent is untrusted. `Intent.parse` checks its shape only; whether it may happen is the policy's business, and
strings such as paths are kept exactly as they came, so that the policy sees what the requester wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

Phase = Literal["staging", "production"]
NetworkMode = Literal["deny_all", "egress"]


class Priority(IntEnum):
    """Queue priorities; a lower number goes first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3

    __hash__ = int.__hash__  # an Enum's own is Python and hashes the name, at each look into a table of lanes


@dataclass(frozen=True, slots=True)
class Command:
    """One program run: `argv` as execve takes it (no shell is added), `cwd` inside the sandbox."""

    argv: tuple[str, ...]
    cwd: str = "/workspace"


@dataclass(frozen=True, slots=True)
class FileIn:
    """A file put into the workspace before the first command; `path` is absolute in the sandbox."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Artefact:
    """A program brought along to be executed, at /artefact/NAME; the lease binds its digest (docs/adr/0020)."""

    name: str
    content: bytes

    @property
    def path(self) -> str:
        """Where the task finds it."""
        return f"/artefact/{self.name}"

    @property
    def sha256(self) -> str:
        """Hex digest of the content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A network destination asked for with `net:egress`."""

    host: str
    port: int
    proto: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a task may use at most. Units are in the names; defaults are DESIGN 5.2's throttled profile."""

    cpu_quota: int = 100
    """Percent of one CPU."""
    mem_quota_mb: int = 256
    disk_quota_mb: int = 256
    wallclock_timeout_s: int = 30
    fd_limit: int = 256
    pids: int = 64
    output_mb: int = 16
    """Bytes of stdout plus stderr kept and allowed, in MiB."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an intent wants to reach: path globs in the sandbox, environment names, network."""

    paths_read: tuple[str, ...] = ("/**",)
    paths_write: tuple[str, ...] = ("/workspace/**",)
    network: NetworkMode = "deny_all"
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """What an agent asks to do, and on whose behalf."""

    intent_id: str
    requester: str
    """Actor name, for example `cbo`."""
    commands: tuple[Command, ...]
    persona: str = ""
    """Role whose signature accompanies the intent, for example `architect`; empty when none."""
    phase: Phase = "staging"
    priority: Priority = Priority.NORMAL
    capabilities: tuple[str, ...] = ("base:execute",)
    env: Mapping[str, str] = field(default_factory=dict)
    files: tuple[FileIn, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    patch: str = ""
    """A unified diff to be applied in the workspace; reviewed and validated, never applied on the host."""
    collect: tuple[str, ...] = ()
    """Paths in the workspace handed back when the commands have ended."""
    scope: Scope = field(default_factory=Scope)
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def parse(cls, raw: Mapping[str, Any], *, where: str = "intent") -> Intent:
        """A frozen intent from JSON-like data; raises `InvalidInputError` naming the field and what would fit."""
        from executor.intent_parse import parse_intent  # noqa: PLC0415 - the parser imports these types

        return parse_intent(raw, where=where)


def argv_list(commands: Sequence[Command]) -> list[list[str]]:
    """The argument vectors as plain lists, for JSON."""
    return [list(command.argv) for command in commands]
