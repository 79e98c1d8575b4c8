"""A lease as it is written: one spelling, every byte signed, nothing else taken for a lease."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor import canonical
from executor.errors import InvalidInputError
from executor.intent import Command, Intent
from executor.lease import Cosigning, Facts, intent_digest, parse_lease
from tests.lease.conftest import HUMAN, Desk, second_form

Fields = dict[str, Any]
leaves = st.none() | st.booleans() | st.integers() | st.text()
json_values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def _backwards(text: str) -> str:
    """The same object, its keys in reverse order."""
    return json.dumps(dict(reversed(json.loads(text).items())), separators=(",", ":"))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda raw: raw["sig"].update(value="0" * 128), "lease.signature"),
        (lambda raw: raw["sig"].update(value=raw["sig"]["value"][:126]), "lease.schema"),
        (lambda raw: raw["sig"].update(value=raw["sig"]["value"].upper()), "lease.schema"),
        (lambda raw: raw["sig"].update(value=second_form(raw["sig"]["value"])), "lease.signature"),
        (lambda raw: raw["sig"].update(value="01" + "00" * 63), "lease.signature"),
        (lambda raw: raw["sig"].update(alg="none"), "lease.schema"),
        (lambda raw: raw["sig"].update(kid="0" * 32), "lease.key_unknown"),
        (lambda raw: raw.update(schema="cordon.lease/2"), "lease.schema"),
        (lambda raw: raw.update(extra=1), "lease.schema"),
        (lambda raw: raw.pop("cosigners"), "lease.schema"),
        (lambda raw: raw.update(uses=1), "lease.schema"),
        (lambda raw: raw.update(issued_to="mallory"), "lease.signature"),
        (lambda raw: raw.update(expires_at="2023-11-14T22:23:19.000000Z"), "lease.signature"),
        (lambda raw: raw.update(expires_at="2023-02-30T22:23:20.000000Z"), "lease.schema"),
        (lambda raw: raw["limits"].update(mem_quota_mb=4096), "lease.signature"),
        (lambda raw: raw["limits"].update(mem_quota_mb=256.0), "lease.malformed"),
        (lambda raw: raw["limits"].update(mem_quota_mb=True), "lease.schema"),
        (lambda raw: raw["scope"]["commands_allowlist"].append(["whoami"]), "lease.signature"),
        (lambda raw: raw["scope"].update(commands_allowlist=[]), "lease.schema"),
        (lambda raw: raw["scope"].update(network="egress"), "lease.signature"),
        (lambda raw: raw["capabilities"].append("dev:compiler"), "lease.signature"),
        (lambda raw: raw.update(policy_digest=f"sha256:{'b' * 64}"), "lease.signature"),
        (lambda raw: raw.update(intent_id="intent-1\u0301"), "lease.signature"),
    ],
)
def test_altered_leases_are_refused(desk: Desk, damage: Callable[[Fields], object], reason: str) -> None:
    """One field altered, and the lease is refused for it; the unaltered one is still good."""
    lease = desk.issue(desk.intent())
    raw = json.loads(lease.document())
    damage(raw)
    document = json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert desk.refusal(document, desk.facts(desk.intent())) == reason
    assert desk.refusal(lease.document(), desk.facts(desk.intent())) == "accepted"


@pytest.mark.parametrize(
    ("respell", "reason"),
    [
        (lambda text: text.replace('"phase":"staging"', '"phase":"staging","phase":"staging"'), "lease.malformed"),
        (lambda text: text.replace(",", ", ", 1), "lease.not_canonical"),
        (lambda text: text + "\n", "lease.not_canonical"),
        (lambda text: text.replace('"cbo"', '"\\u0063bo"'), "lease.not_canonical"),
        (_backwards, "lease.not_canonical"),
        (lambda text: "\ufeff" + text, "lease.malformed"),
        (lambda text: text.replace('"pids":64', '"pids":64.0'), "lease.malformed"),
        (lambda text: text.replace('"pids":64', '"pids":6.4e1'), "lease.malformed"),
        (lambda text: text.replace('"pids":64', '"pids":NaN'), "lease.malformed"),
        (lambda text: text[:-1], "lease.malformed"),
        (lambda _: "", "lease.malformed"),
        (lambda _: "[]", "lease.schema"),
        (lambda _: "[" * 100_000, "lease.malformed"),
        (lambda _: '"' + "x" * (1 << 20) + '"', "lease.malformed"),
    ],
    ids=[
        "duplicate-key", "blank", "line-feed", "escape", "key-order", "bom", "float", "exponent", "nan", "truncated",
        "empty", "array", "deep", "large",
    ],
)  # fmt: skip
def test_a_lease_has_one_spelling(desk: Desk, respell: Callable[[str], str], reason: str) -> None:
    """The same lease in any other spelling is refused: two readers could disagree about it."""
    lease = desk.issue(desk.intent())
    assert desk.refusal(respell(lease.document().decode()).encode(), desk.facts(desk.intent())) == reason


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_single_byte_can_be_changed(desk: Desk, data: st.DataObject) -> None:
    """Whatever byte of a lease is changed to whatever other, it is refused."""
    document = desk.issue(desk.intent()).document()
    at = data.draw(st.integers(0, len(document) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != document[at]))
    changed = document[:at] + bytes([byte]) + document[at + 1 :]
    assert desk.refusal(changed, desk.facts(desk.intent())).startswith("lease.")


@given(json_values)
def test_parser_takes_only_leases(raw: Any) -> None:
    """Anything that is no lease is refused as invalid input, and nothing else happens."""
    with pytest.raises(InvalidInputError, match="lease"):
        parse_lease(raw)


def test_document_round_trip(desk: Desk) -> None:
    """A lease parsed from its document is the same lease."""
    lease = desk.issue(desk.intent("production"), cosigners=desk.cosigning("ada", "cp14"), uses=7, task_id="t")
    assert parse_lease(canonical.loads(lease.document())) == lease
    assert isinstance(Cosigning("human", "ada", HUMAN), Cosigning)
    assert Facts("i", "r", "p", ()).phase == "staging"


def test_digest_follows_what_can_change_under_it() -> None:
    """An intent's environment is whatever mapping it was made with: a change in it changes the digest."""
    env = {"A": "1"}
    intent = Intent("i-1", "cbo", (Command(("true",)),), env=env)
    before = intent_digest(intent)
    assert intent_digest(intent) == before == intent_digest(Intent("i-1", "cbo", (Command(("true",)),), env={"A": "1"}))
    env["A"] = "2"
    assert intent_digest(intent) != before
