"""Intents at the door: frozen values or one located message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import InvalidInputError
from executor.intent import Command, Endpoint, FileIn, Intent, Limits, Priority, Scope

HELLO: dict[str, Any] = {"intent_id": "i-1", "requester": "cbo", "commands": [{"argv": ["echo", "hi"]}]}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted(Intent.__dataclass_fields__)


def test_the_smallest_intent_gets_the_documented_defaults() -> None:
    """Three fields are enough; the rest is the throttled profile of DESIGN 5.2."""
    assert Intent.parse(HELLO) == Intent("i-1", "cbo", (Command(("echo", "hi")),))


def test_every_field_arrives_where_it_belongs() -> None:
    """A full intent comes out whole."""
    raw = HELLO | {
        "persona": "architect",
        "phase": "production",
        "priority": "CRITICAL",
        "capabilities": ["net:egress"],
        "env": {"A": "b"},
        "files": [{"path": "/workspace/x", "text": "é", "mode": 0o600}, {"path": "/workspace/y", "base64": "AP8="}],
        "patch": "--- a\n",
        "collect": ["/workspace/z"],
        "scope": {
            "network": "egress",
            "endpoints": [{"host": "h", "port": 53, "proto": "udp"}],
            "paths_write": ["/w/**"],
        },
        "limits": {"pids": 3},
    }
    assert Intent.parse(raw) == Intent(
        intent_id="i-1",
        requester="cbo",
        commands=(Command(("echo", "hi")),),
        persona="architect",
        phase="production",
        priority=Priority.CRITICAL,
        capabilities=("net:egress",),
        env={"A": "b"},
        files=(FileIn("/workspace/x", "é".encode(), 0o600), FileIn("/workspace/y", b"\x00\xff")),
        patch="--- a\n",
        collect=("/workspace/z",),
        scope=Scope(network="egress", endpoints=(Endpoint("h", 53, "udp"),), paths_write=("/w/**",)),
        limits=Limits(pids=3),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"requester": None}, "intent.requester: is required"),
        ({"requester": "a b"}, "intent.requester: letters, digits"),
        ({"commands": []}, "intent.commands: at least one"),
        ({"commands": [{"argv": []}]}, r"intent.commands\[0\].argv: a command needs"),
        ({"commands": [{"argv": ["a", 1]}]}, r"intent.commands\[0\].argv\[1\]: expected text, found 1"),
        ({"commands": [{"argv": ["x\ud800"]}]}, "half of a surrogate pair"),
        ({"phase": "live"}, "intent.phase: 'live' is none of staging, production"),
        ({"priority": True}, "intent.priority: True is none of CRITICAL"),
        ({"limits": {"pids": 0}}, "intent.limits.pids: 0 is outside"),
        ({"limits": {"pids": True}}, "intent.limits.pids: expected a whole number"),
        ({"limits": {"pid": 1}}, "intent.limits.pid: unknown field; there are cpu_quota"),
        ({"files": [{"path": "x"}]}, r"intent.files\[0\]: give the content as either"),
        ({"files": [{"path": "x", "base64": "?"}]}, r"intent.files\[0\].base64:"),
        (
            {"scope": {"endpoints": [{"host": "h", "port": 65536}]}},
            r"intent.scope.endpoints\[0\].port: 65536 is outside",
        ),
        ({"comands": []}, "intent.comands: unknown field"),
        ({"env": [1]}, "intent.env: expected a mapping"),
    ],
)
def test_a_mistake_names_its_place_and_what_would_fit(change: dict[str, Any], message: str) -> None:
    """Each wrong field is refused with its path."""
    with pytest.raises(InvalidInputError, match=message):
        Intent.parse(HELLO | change)


@given(field=st.sampled_from(FIELDS), value=JSON)
def test_no_value_of_any_field_raises_anything_else(field: str, value: Any) -> None:
    """Whatever stands in a field, the answer is an intent or a located InvalidInputError."""
    try:
        intent = Intent.parse(HELLO | {field: value})
    except InvalidInputError as error:
        assert str(error).startswith("intent")  # noqa: PT017 - the other branch is as good an answer
    else:
        assert isinstance(intent, Intent)


@given(raw=JSON)
def test_no_document_raises_anything_else(raw: Any) -> None:
    """The same for whole documents."""
    with pytest.raises(InvalidInputError):
        Intent.parse(raw)


@given(argv=st.lists(st.text(max_size=20).filter(lambda text: text.isprintable()), min_size=1, max_size=5))
def test_arguments_are_kept_as_they_came(argv: list[str]) -> None:
    """Nothing is trimmed, split or normalised: the policy judges what the requester wrote."""
    raw = json.loads(json.dumps(HELLO | {"commands": [{"argv": argv}]}))
    assert Intent.parse(raw).commands == (Command(tuple(argv)),)
