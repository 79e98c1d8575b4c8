"""Whom a signature is believed from: the lease issuer's current and previous key, and the registered cosigners.

`KeyRing` is a frozen snapshot: deciding with it does no IO. Admission of a key, in this order:

1. a retired key is refused, whatever it was,
2. a lease or an audit head must be signed by the issuer's current or previous key, no third one,
3. a cosignature must come from a registered key, and its role and holder are those it was registered with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from executor.clock import parse_rfc3339, rfc3339
from executor.errors import InvalidInputError
from executor.keys.signer import key_id, parse_public

Role = Literal["human", "agent", "persona"]
"""human: a person - agent: cp14, cp18 - persona: a role whose signature accompanies intents, such as architect."""

ROLES: Final[tuple[str, ...]] = get_args(Role)
ISSUER: Final = "cp20"
TRUST_SCHEMA: Final = "cordon.trust/1"
ROTATION_DAYS: Final = 91
"""A quarter; DESIGN 5.3."""
_DAY_NS: Final = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key leases are signed with; `since_ns` is when it became the current one."""

    kid: str
    public: bytes
    since_ns: int

    def to_json(self) -> dict[str, Any]:
        """As the trust file holds it."""
        return {"kid": self.kid, "public": self.public.hex(), "since": rfc3339(self.since_ns)}

    @classmethod
    def parse(cls, raw: Any, *, where: str) -> TrustedKey:
        """From the trust file; raises `InvalidInputError` naming the field."""
        fields = _exact(raw, {"kid": str, "public": str, "since": str}, where)
        public = parse_public(fields["public"])
        if key_id(public) != fields["kid"]:
            raise InvalidInputError(f"{where}: kid is not the id of the public key beside it")
        return cls(fields["kid"], public, _moment(fields["since"], where))


@dataclass(frozen=True, slots=True)
class Trust:
    """The trust file: exactly the current key and the previous one."""

    current: TrustedKey
    previous: TrustedKey | None = None

    def to_json(self) -> dict[str, Any]:
        """As the trust file holds it."""
        previous = self.previous.to_json() if self.previous else None
        return {"schema": TRUST_SCHEMA, "issuer": ISSUER, "current": self.current.to_json(), "previous": previous}

    @classmethod
    def parse(cls, raw: Any, *, where: str) -> Trust:
        """From the trust file; raises `InvalidInputError` naming the field."""
        fields = _exact(raw, {"schema": str, "issuer": str, "current": dict, "previous": (dict, type(None))}, where)
        if fields["schema"] != TRUST_SCHEMA or fields["issuer"] != ISSUER:
            raise InvalidInputError(f"{where}: wanted schema {TRUST_SCHEMA} and issuer {ISSUER}")
        current = TrustedKey.parse(fields["current"], where=f"{where}: current")
        previous = TrustedKey.parse(fields["previous"], where=f"{where}: previous") if fields["previous"] else None
        if previous and previous.kid == current.kid:
            raise InvalidInputError(f"{where}: current and previous are the same key")
        return cls(current, previous)

    def rotation_due_ns(self) -> int:
        """When the current key's quarter ends, in nanoseconds since the epoch."""
        return self.current.since_ns + ROTATION_DAYS * _DAY_NS


@dataclass(frozen=True, slots=True)
class RegisteredKey:
    """A cosigner's key: whose it is, in what role, and when it was retired (0: it is not)."""

    kid: str
    role: Role
    holder: str
    public: bytes
    registered_ns: int
    retired_ns: int = 0

    def to_json(self) -> dict[str, Any]:
        """As the key list holds it."""
        return {
            "kid": self.kid,
            "role": self.role,
            "holder": self.holder,
            "public": self.public.hex(),
            "registered_at": rfc3339(self.registered_ns),
            "retired_at": rfc3339(self.retired_ns) if self.retired_ns else "",
        }

    @classmethod
    def parse(cls, raw: Any, *, where: str) -> RegisteredKey:
        """From the key list; raises `InvalidInputError` naming the field."""
        names = ("kid", "role", "holder", "public", "registered_at", "retired_at")
        fields = _exact(raw, dict.fromkeys(names, str), where)
        public = parse_public(fields["public"])
        if key_id(public) != fields["kid"]:
            raise InvalidInputError(f"{where}: kid is not the id of the public key beside it")
        role = parse_role(fields["role"])
        retired_ns = _moment(fields["retired_at"], where) if fields["retired_at"] else 0
        return cls(fields["kid"], role, fields["holder"], public, _moment(fields["registered_at"], where), retired_ns)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every public key there is, at one moment."""

    trust: Trust
    registered: Mapping[str, RegisteredKey] = field(default_factory=dict)
    retired: frozenset[str] = frozenset()
    """Ids of issuer keys that were once trusted."""

    def issuer_keys(self) -> dict[str, bytes]:
        """Key id -> public key of the one or two keys leases and audit heads may be signed with."""
        keys = [self.trust.current, *([self.trust.previous] if self.trust.previous else [])]
        return {key.kid: key.public for key in keys if key.kid not in self.retired}

    def is_retired(self, kid: str) -> bool:
        """Whether `kid` was good once and is no longer."""
        return kid in self.retired or (kid in self.registered and self.registered[kid].retired_ns > 0)


def parse_role(text: str) -> Role:
    """`text` as a role; raises `InvalidInputError` listing the roles."""
    for role in get_args(Role):
        if text == role:
            found: Role = role
            return found
    raise InvalidInputError(f"no such role: {text}; there are {', '.join(ROLES)}")


def _moment(text: str, where: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise InvalidInputError(f"{where}: {error}") from None


def _exact(raw: Any, kinds: Mapping[str, type | tuple[type, ...]], where: str) -> dict[str, Any]:
    if not isinstance(raw, dict) or raw.keys() != kinds.keys():
        raise InvalidInputError(f"{where}: wanted an object with exactly {', '.join(kinds)}")
    for name, kind in kinds.items():
        if not isinstance(raw[name], kind) or isinstance(raw[name], bool):
            raise InvalidInputError(f"{where}: {name} has the wrong type")
    return raw
