"""The parser of decisions: one shape, nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.intent import Limits
from executor.policy.decision import MalformedDecisionError, malformed, parse_decision

DIGEST = "sha256:" + 64 * "a"
ALLOWED: dict[str, Any] = {
    "allow": True,
    "reasons": [],
    "grants": [{"kind": "capability", "name": "base:execute", "by": "matrix cbo/none/staging"}],
    "obligations": {
        "limits": dict.fromkeys(Limits.__dataclass_fields__, 7),
        "hard": [],
        "soft": ["base:execute"],
        "reviewers": ["cp14"],
        "keys_required": [],
        "atp_cost": 2,
        "lease_ttl_s": 60,
        "scope": {
            "read": ["/**"],
            "write": [],
            "deny": ["/root"],
            "commands": ["echo"],
            "env": [],
            "network": "egress",
            "endpoints": [{"host": "a.test", "port": 443, "proto": "tcp"}],
        },
    },
    "risk": {"score": 30, "band": "low", "factors": [{"name": "capability net:egress", "points": 30}]},
    "policy_digest": DIGEST,
}
DENIED = {**ALLOWED, "allow": False, "reasons": [{"code": "host.slots", "msg": "Full", "remedy": "Wait"}]}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path into `value`."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def test_what_was_answered_is_what_is_read() -> None:
    """A decision, read and written again, is the answer with its verdict and cause."""
    for answer, verdict in ((ALLOWED, "allow"), (DENIED, "deny")):
        assert parse_decision(answer).to_json() == {**answer, "verdict": verdict, "cause": ""}


@pytest.mark.parametrize("path", [path for path in places(DENIED) if path and isinstance(path[-1], str)], ids=str)
def test_every_key_is_needed(path: tuple[Any, ...]) -> None:
    """An answer without one of its keys is no decision; nor is one with a key more beside it."""
    for change in ("remove", "add"):
        answer = copy.deepcopy(DENIED)
        place: Any = answer
        for part in path[:-1]:
            place = place[part]
        if change == "remove":
            del place[path[-1]]
        else:
            place["extra"] = 1
        with pytest.raises(MalformedDecisionError):
            parse_decision(answer)


@given(
    st.sampled_from(list(places(DENIED))),
    st.sampled_from([None, True, -1, 2**53, 1.5, "", "x", [], {}, [None], {"a": 1}]),
)
def test_no_value_of_another_kind_passes(path: tuple[Any, ...], value: Any) -> None:
    """Put anything anywhere: the answer is refused, or it is one that says just that."""
    answer = copy.deepcopy(DENIED)
    holder = {"root": answer}
    place: Any = holder
    for part in ("root", *path)[:-1]:
        place = place[part]
    place[("root", *path)[-1]] = value
    try:
        decision = parse_decision(holder["root"])
    except MalformedDecisionError:
        return
    assert {**decision.to_json(), "verdict": 0, "cause": 0} == {**holder["root"], "verdict": 0, "cause": 0}


@pytest.mark.parametrize(
    "change",
    [
        {"allow": True},
        {"reasons": []},
        {"allow": True, "reasons": [], "grants": []},
        {"policy_digest": "sha256:" + 63 * "a"},
        {"reasons": [{"code": "host", "msg": "Full", "remedy": "Wait"}]},
    ],
    ids=["allowed with reasons", "denied without", "allowed without a grant", "digest", "code"],
)
def test_contradictions_are_refused(change: dict[str, Any]) -> None:
    """An answer whose parts do not go together is no decision."""
    with pytest.raises(MalformedDecisionError):
        parse_decision({**DENIED, **change})


def test_malformed_is_a_denial_told_apart() -> None:
    """A decision that could not be had denies, names its cause, and grants nothing."""
    decision = malformed("timeout", "OPA did not answer", policy_digest=DIGEST)
    assert (decision.verdict, decision.allowed, decision.codes) == ("malformed", False, ("policy.timeout",))
    assert decision.grants == ()
    assert json.loads(json.dumps(decision.to_json()))["allow"] is False
