"""The lease as a frozen value and as the signed document it travels in (DESIGN 5.3)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any, Final

import jsonschema_rs

from executor import canonical
from executor.clock import parse_rfc3339
from executor.errors import InvalidInputError
from executor.intent import Command, Intent, Limits, NetworkMode, Phase
from executor.keys import Role
from executor.plain import plain

SCHEMA: Final = "cordon.lease/1"
MAX_DOCUMENT: Final = 1 << 20
"""Bytes; room for 256 commands of a few KiB, and a bound on what is parsed before its signature is known."""

SCHEMA_TEXT: Final = resources.files("executor.lease").joinpath("lease_schema.json").read_text("utf-8")
_schema: Final = json.loads(SCHEMA_TEXT)
_is_valid: Final = jsonschema_rs.validator_for(_schema).is_valid


@dataclass(frozen=True, slots=True)
class LeaseScope:
    """Where a task may reach. `commands_allowlist` holds whole argument vectors, `env_allowlist` names."""

    paths_allowlist: tuple[str, ...]
    paths_denylist: tuple[str, ...]
    commands_allowlist: tuple[tuple[str, ...], ...]
    env_allowlist: tuple[str, ...]
    network: NetworkMode
    artefacts: tuple[tuple[str, str], ...] = ()
    """Name and hex SHA-256 of what may be executed at /artefact; absent in the document when there is none."""

    @classmethod
    def of(cls, intent: Intent, *, paths_denylist: tuple[str, ...] = ()) -> LeaseScope:
        """All that `intent` asks for, and nothing more."""
        return cls(
            paths_allowlist=intent.scope.paths_write,
            paths_denylist=paths_denylist,
            commands_allowlist=tuple(command.argv for command in intent.commands),
            env_allowlist=tuple(sorted(intent.env)),
            network=intent.scope.network,
            artefacts=tuple((artefact.name, artefact.sha256) for artefact in intent.artefacts),
        )


@dataclass(frozen=True, slots=True)
class LeaseLimits:
    """What a task may use at most; units as in `executor.intent.Limits`."""

    cpu_quota: int
    mem_quota_mb: int
    disk_quota_mb: int
    wallclock_timeout_s: int
    fd_limit: int
    pids: int

    @classmethod
    def of(cls, limits: Limits) -> LeaseLimits:
        """The part of `limits` that a lease carries."""
        return cls(**{field.name: getattr(limits, field.name) for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A second signature over the same bytes; `sig` in hex."""

    role: Role
    id: str
    kid: str
    sig: str


@dataclass(frozen=True, slots=True)
class LeaseSignature:
    """The issuer's signature; `value` in hex."""

    alg: str
    kid: str
    value: str


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission to run exactly these commands, within these limits, until `expires_at`."""

    schema: str
    lease_id: str
    intent_id: str
    phase: Phase
    issued_by: str
    issued_to: str
    issued_at: str
    not_before: str
    expires_at: str
    scope: LeaseScope
    capabilities: tuple[str, ...]
    limits: LeaseLimits
    policy_digest: str
    cosigners: tuple[Cosigner, ...]
    sig: LeaseSignature
    task_id: str = ""
    """The one task that may use it; '' (then absent in the document): the first use binds it."""
    uses: int = 1
    """How often it may be used; 1 is absent in the document."""

    def to_json(self) -> dict[str, Any]:
        """The whole document, as JSON values."""
        return {
            **self._signed_part(),
            "cosigners": plain(self.cosigners),
            "sig": plain(self.sig),
        }

    def document(self) -> bytes:
        """The whole document in canonical JSON: what is stored and handed over."""
        return canonical.dumps(self.to_json())

    def signed_bytes(self) -> bytes:
        """What the issuer and every cosigner sign: the canonical document without `sig` and `cosigners`."""
        return canonical.dumps(self._signed_part())

    def digest(self) -> str:
        """SHA-256 over the signed bytes, in hex."""
        return hashlib.sha256(self.signed_bytes()).hexdigest()

    def expires_ns(self) -> int:
        """`expires_at` in nanoseconds since the epoch."""
        return parse_moment(self.expires_at)

    def allows(self, command: Command | tuple[str, ...]) -> bool:
        """Whether exactly this argument vector is on the list."""
        return (command.argv if isinstance(command, Command) else command) in self.scope.commands_allowlist

    def _signed_part(self) -> dict[str, Any]:
        raw: dict[str, Any] = plain(self)
        del raw["cosigners"], raw["sig"]
        if not self.scope.artefacts:
            del raw["scope"]["artefacts"]
        if not self.task_id:
            del raw["task_id"]
        if self.uses == 1:
            del raw["uses"]
        return raw


def parse_lease(raw: Any) -> Lease:
    """A lease from JSON values; raises `InvalidInputError` naming the field that does not fit the schema."""
    if not _is_valid(raw):
        raise InvalidInputError(f"lease: {_explain(raw)}")
    scope, limits = raw["scope"], raw["limits"]
    rest = {
        key: value for key, value in raw.items() if key not in {"scope", "limits", "capabilities", "cosigners", "sig"}
    }
    lease = Lease(
        **rest,
        scope=LeaseScope(
            paths_allowlist=tuple(scope["paths_allowlist"]),
            paths_denylist=tuple(scope["paths_denylist"]),
            commands_allowlist=tuple(tuple(argv) for argv in scope["commands_allowlist"]),
            env_allowlist=tuple(scope["env_allowlist"]),
            network=scope["network"],
            artefacts=tuple((name, sha256) for name, sha256 in scope.get("artefacts", ())),
        ),
        limits=LeaseLimits(**limits),
        capabilities=tuple(raw["capabilities"]),
        cosigners=tuple(Cosigner(**cosigner) for cosigner in raw["cosigners"]),
        sig=LeaseSignature(**raw["sig"]),
    )
    for moment in (lease.issued_at, lease.not_before, lease.expires_at):
        parse_moment(moment)
    return lease


def parse_moment(text: str) -> int:
    """`2026-01-02T03:04:05.678901Z` as nanoseconds since the epoch; raises `InvalidInputError` for no such moment."""
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise InvalidInputError(f"lease: {text[:40]!r} is no moment in time") from None


def _explain(raw: Any) -> str:
    """The slow validator words it better than the fast one."""
    from executor import misfit  # noqa: PLC0415 - see there

    error = misfit.best(_schema, raw)
    return f"{error.json_path}: {error.message[:200]}" if error else "does not fit the schema"
