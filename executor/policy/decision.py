"""The policy's answer as frozen values, and the one parser that makes them. Anything but exactly the shape is refused.

Rules of the parser: every key present and no other; `allow` comes with no reasons and at least one grant, a denial
with at least one reason; codes are `<package>.<short_name>`; numbers are whole numbers within their bounds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from executor.errors import RefusedError
from executor.intent import Limits
from executor.outcome import Verdict
from executor.plain import plain

_CODE: Final = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_LIMIT_NAMES: Final = tuple(Limits.__dataclass_fields__)
_WAIT: Final = "Nothing to change in the request: the policy engine has to answer."
_CORRECT: Final = "Correct the field that is named; policies/schemas/input.schema.json has what fits."
T = TypeVar("T")


class MalformedDecisionError(RefusedError):
    """OPA answered something that is not a decision; the message says what is wrong with it."""

    code = "policy.malformed"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not: a stable code, a sentence for the person, and what would make it allowed."""

    code: str
    msg: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What was granted (`kind` capability or program), and by which line of the policy's data (`by`)."""

    kind: str
    name: str
    by: str


@dataclass(frozen=True, slots=True)
class GrantedEndpoint:
    """One network destination the task may reach."""

    host: str
    port: int
    proto: str


@dataclass(frozen=True, slots=True)
class GrantedScope:
    """What the lease's scope is made of. `deny` wins over `read` and `write`; `commands` are program names."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    network: str = "deny_all"
    endpoints: tuple[GrantedEndpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Obligations:
    """What the executor must do when it carries the decision out. `lease_ttl_s`: the lease's longest life, seconds."""

    limits: Limits = field(default_factory=Limits)
    hard: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    keys_required: tuple[str, ...] = ()
    atp_cost: int = 0
    scope: GrantedScope = field(default_factory=GrantedScope)
    lease_ttl_s: int = 0


@dataclass(frozen=True, slots=True)
class RiskFactor:
    """One named contribution to the risk score."""

    name: str
    points: int


@dataclass(frozen=True, slots=True)
class Risk:
    """CP15's assessment: a score from 0, its band, and what it is made of."""

    score: int = 0
    band: str = "unknown"
    factors: tuple[RiskFactor, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer. `verdict` malformed: no decision could be had; `cause` says why (empty otherwise)."""

    verdict: Verdict
    policy_digest: str
    reasons: tuple[Reason, ...] = ()
    obligations: Obligations = field(default_factory=Obligations)
    risk: Risk = field(default_factory=Risk)
    grants: tuple[Grant, ...] = ()
    cause: str = ""
    duration_ns: int = 0
    """Time from question to answer, as the engine saw it."""

    @property
    def allowed(self) -> bool:
        """True for `allow` only."""
        return self.verdict == "allow"

    @property
    def codes(self) -> tuple[str, ...]:
        """The reason codes, sorted, each once."""
        return tuple(sorted({reason.code for reason in self.reasons}))

    def to_json(self) -> dict[str, Any]:
        """The decision as JSON values, for events and reports: DESIGN 5.1's keys, `verdict`, `grants` and `cause`."""
        raw = plain(self)
        del raw["duration_ns"]
        return {"allow": self.allowed, **raw}


def malformed(cause: str, message: str, *, policy_digest: str, duration_ns: int = 0) -> Decision:
    """The decision when there is none: deny, told apart from a denial by its verdict. `cause` is a stable name."""
    remedy = _CORRECT if cause == "input_invalid" else _WAIT
    reason = Reason(f"policy.{cause}", message, remedy)
    return Decision("malformed", policy_digest, (reason,), cause=cause, duration_ns=duration_ns)


def parse_decision(result: object, *, duration_ns: int = 0) -> Decision:
    """The `Decision` in OPA's `result`; raises `MalformedDecisionError` for anything else."""
    raw = _object(result, "result", ("allow", "grants", "obligations", "policy_digest", "reasons", "risk"))
    allow = _is(raw["allow"], bool, "allow")
    digest = _is(raw["policy_digest"], str, "policy_digest")
    if not _DIGEST.fullmatch(digest):
        raise MalformedDecisionError("policy_digest is not sha256:<64 hex digits>")
    reasons = _list(raw["reasons"], "reasons", _reason)
    grants = _list(raw["grants"], "grants", _grant)
    if allow and reasons:
        raise MalformedDecisionError("allow is true but there are reasons to deny")
    if allow and not grants:
        raise MalformedDecisionError("allow is true but nothing is granted")
    if not allow and not reasons:
        raise MalformedDecisionError("allow is false without a reason")
    return Decision(
        verdict="allow" if allow else "deny",
        policy_digest=digest,
        reasons=tuple(sorted(reasons, key=lambda reason: (reason.code, reason.msg))),
        obligations=_obligations(raw["obligations"]),
        risk=_risk(raw["risk"]),
        grants=grants,
        duration_ns=duration_ns,
    )


def _reason(raw: object, where: str) -> Reason:
    fields = _object(raw, where, ("code", "msg", "remedy"))
    reason = Reason(*(_text(fields[key], f"{where}.{key}") for key in ("code", "msg", "remedy")))
    if not _CODE.fullmatch(reason.code):
        raise MalformedDecisionError(f"{where}.code is not <package>.<short_name>: {reason.code!r}")
    return reason


def _grant(raw: object, where: str) -> Grant:
    fields = _object(raw, where, ("by", "kind", "name"))
    return Grant(*(_text(fields[key], f"{where}.{key}") for key in ("kind", "name", "by")))


def _obligations(raw: object) -> Obligations:
    where = "obligations"
    keys = ("atp_cost", "hard", "keys_required", "lease_ttl_s", "limits", "reviewers", "scope", "soft")
    fields = _object(raw, where, keys)
    limits = _object(fields["limits"], "obligations.limits", _LIMIT_NAMES)
    return Obligations(
        limits=Limits(**{name: _count(limits[name], f"limits.{name}") for name in _LIMIT_NAMES}),
        hard=_texts(fields["hard"], "obligations.hard"),
        soft=_texts(fields["soft"], "obligations.soft"),
        reviewers=_texts(fields["reviewers"], "obligations.reviewers"),
        keys_required=_texts(fields["keys_required"], "obligations.keys_required"),
        atp_cost=_count(fields["atp_cost"], "obligations.atp_cost"),
        scope=_scope(fields["scope"]),
        lease_ttl_s=_count(fields["lease_ttl_s"], "obligations.lease_ttl_s"),
    )


def _scope(raw: object) -> GrantedScope:
    where = "obligations.scope"
    fields = _object(raw, where, ("commands", "deny", "endpoints", "env", "network", "read", "write"))
    network = _is(fields["network"], str, f"{where}.network")
    if network not in {"deny_all", "egress"}:
        raise MalformedDecisionError(f"{where}.network is neither deny_all nor egress")
    return GrantedScope(
        read=_texts(fields["read"], f"{where}.read"),
        write=_texts(fields["write"], f"{where}.write"),
        deny=_texts(fields["deny"], f"{where}.deny"),
        commands=_texts(fields["commands"], f"{where}.commands"),
        env=_texts(fields["env"], f"{where}.env"),
        network=network,
        endpoints=_list(fields["endpoints"], f"{where}.endpoints", _endpoint),
    )


def _endpoint(raw: object, where: str) -> GrantedEndpoint:
    fields = _object(raw, where, ("host", "port", "proto"))
    return GrantedEndpoint(
        host=_text(fields["host"], f"{where}.host"),
        port=_count(fields["port"], f"{where}.port"),
        proto=_text(fields["proto"], f"{where}.proto"),
    )


def _risk(raw: object) -> Risk:
    fields = _object(raw, "risk", ("band", "factors", "score"))
    return Risk(
        score=_count(fields["score"], "risk.score"),
        band=_text(fields["band"], "risk.band"),
        factors=_list(fields["factors"], "risk.factors", _factor),
    )


def _factor(raw: object, where: str) -> RiskFactor:
    fields = _object(raw, where, ("name", "points"))
    return RiskFactor(_text(fields["name"], f"{where}.name"), _count(fields["points"], f"{where}.points"))


def _object(value: object, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedDecisionError(f"{where} is {_kind(value)}, not an object")
    if value.keys() != set(keys):
        missing, extra = sorted(set(keys) - value.keys()), sorted(value.keys() - set(keys))
        raise MalformedDecisionError(f"{where} lacks {missing} and has unknown {extra}")
    return value


def _list(value: object, where: str, parse: Callable[[object, str], T]) -> tuple[T, ...]:
    if not isinstance(value, list):
        raise MalformedDecisionError(f"{where} is {_kind(value)}, not a list")
    return tuple(parse(item, f"{where}[{index}]") for index, item in enumerate(value))


def _texts(value: object, where: str) -> tuple[str, ...]:
    return _list(value, where, _text)


def _text(value: object, where: str) -> str:
    text = _is(value, str, where)
    if not text:
        raise MalformedDecisionError(f"{where} is empty")
    return text


def _count(value: object, where: str) -> int:
    number = _is(value, int, where)
    if not 0 <= number < 2**53:  # RFC 8785 and every JSON reader agree up to here
        raise MalformedDecisionError(f"{where} is out of range: {number}")
    return number


def _is(value: object, kind: type[T], where: str) -> T:
    if type(value) is not kind:  # bool is an int, and must not pass for one
        raise MalformedDecisionError(f"{where} is {_kind(value)}, not {kind.__name__}")
    return value


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
