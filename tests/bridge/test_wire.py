"""The messages: what is written is what is read, and whatever else comes is refused with words, never an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.bridge import wire
from executor.bridge.outcome_wire import pack, unpack
from executor.errors import InvalidInputError, RequestRefusedError
from executor.intent import Artefact, Command, Endpoint, FileIn, Intent, Limits, Priority, Scope
from executor.outcome import CollectedFile, CommandResult, Outcome, Stage

INTENT = Intent(
    "i-1",
    "cbo",
    (Command(("python3", "-c", "print('\u00e9')"), "/tmp"),),  # noqa: S108 - a path inside the sandbox
    priority=Priority.HIGH,
    capabilities=("base:execute", "dev:python"),
    env={"LANG": "C.UTF-8"},
    files=(FileIn("/workspace/a", b"\x00\xff\n", 0o755), FileIn("/workspace/b", b""), FileIn("/workspace/c", b"cc")),
    artefacts=(Artefact("kernel", b"\x7fELF\x00"), Artefact("other", b"")),
    patch="--- a\n+++ b\n",
    collect=("/workspace/out",),
    scope=Scope(network="egress", endpoints=(Endpoint("example.org", 443),)),
    limits=Limits(wallclock_timeout_s=3),
)
RESULT = CommandResult(("true",), "exited", 0, 0, b"\xff\x00out", b"err", 5, cpu_usec=7, memory_peak_bytes=9)
OUTCOME = Outcome(
    "i-1",
    "tcg",
    "allow",
    (),
    "completed",
    {"allow": True, "risk": {"score": 3}},
    {"lease_id": "l"},
    results=(RESULT, RESULT),
    files=(CollectedFile("/workspace/out", 0o644, b"\x01\x02"), CollectedFile("/x", 0, b"", "No such file")),
    events=({"type": "a", "data": {}},),
    stages=(Stage("review", 5), Stage("command.1", 7, "guest")),
    samples=({"at_ms": 1},),
    vm_id="vm-1",
    message="m",
)


def refusal(frames: list[bytes]) -> RequestRefusedError:
    """What `frames` are refused with."""
    with pytest.raises(RequestRefusedError) as found:
        wire.parse_request(frames)
    return found.value


def test_intent_arrives_as_it_was_sent() -> None:
    """Every field of an intent, binary files included, survives the way."""
    found = wire.parse_request(wire.submit("c1", INTENT, ("cp14",), stream=True))
    assert found == wire.Submit("c1", INTENT, ("cp14",), stream=True)


def test_outcome_arrives_as_it_was_sent() -> None:
    """Every field of an outcome, binary outputs and files included, survives the way."""
    raw, payload = pack(OUTCOME)
    head = wire.parse_header(wire.header("result", task="t", outcome=raw))
    assert unpack(head["outcome"], payload) == OUTCOME


@pytest.mark.parametrize("change", [b"", b"x", b"\xff" * 3])
def test_outcome_whose_parts_do_not_fit_is_refused(change: bytes) -> None:
    """More or less payload than announced is no outcome."""
    raw, payload = pack(OUTCOME)
    with pytest.raises(InvalidInputError, match="outcome:"):
        unpack(raw, payload[:-4] + change)


CASES: list[tuple[str, Any, str]] = [
    ("no op", {"v": wire.VERSION, "id": "x"}, "op is required"),
    ("another version", {"v": "cordon.bridge/2", "op": "hello", "id": "x"}, "cordon.bridge/1"),
    ("unknown op", {"v": wire.VERSION, "op": "run", "id": "x"}, "none of hello, submit, attach"),
    ("a field more", {"v": wire.VERSION, "op": "hello", "id": "x", "as": "root"}, "header.as: is not known"),
    ("a field less", {"v": wire.VERSION, "op": "hello"}, "header.id: is required"),
    ("id too long", {"v": wire.VERSION, "op": "hello", "id": "x" * 65}, "header.id"),
    ("id no text", {"v": wire.VERSION, "op": "hello", "id": 1}, "header.id"),
    ("tasks no list", {"v": wire.VERSION, "op": "attach", "id": "x", "tasks": "t"}, "header.tasks"),
    ("too many tasks", {"v": wire.VERSION, "op": "attach", "id": "x", "tasks": ["t"] * 1001}, "header.tasks"),
    ("not an object", [1], "an object"),
]


@pytest.mark.parametrize(("raw", "says"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_wrong_header_is_refused_by_name(raw: Any, says: str) -> None:
    """Each fault is a 400 that names the field."""
    found = refusal([json.dumps(raw).encode()])
    assert (found.status, found.reason) == (400, "bridge.malformed")
    assert says in str(found)


SUBMITS: list[tuple[str, dict[str, Any], str]] = [
    ("weaken", {"weaken": ["seccomp"]}, "intent.weaken: unknown field"),
    ("attempt", {"attempt": []}, "intent.attempt: unknown field"),
    ("size too small", {"files": [{"path": "/a", "mode": 0, "size": 1}]}, "6 bytes are announced, 10 came"),
    ("size negative", {"files": [{"path": "/a", "mode": 0, "size": -1}]}, "intent.files[0].size"),
    ("size true", {"files": [{"path": "/a", "mode": 0, "size": True}]}, "intent.files[0].size"),
    ("mode with set-uid", {"files": [{"path": "/a", "mode": 0o4755, "size": 5}]}, "intent.files[0].mode"),
    ("file without a path", {"files": [{"mode": 0, "size": 5}]}, "path, mode and size"),
    ("files no list", {"files": {"path": "/a"}}, "intent.files"),
    ("no commands", {"commands": []}, "at least one command"),
    ("requester with a line break", {"requester": "cbo\nadmin"}, "intent.requester"),
]


@pytest.mark.parametrize(("change", "says"), [case[1:] for case in SUBMITS], ids=[case[0] for case in SUBMITS])
def test_wrong_intent_is_refused_by_name(change: dict[str, Any], says: str) -> None:
    """What a drill may vary has no place in a message, and each fault of an intent names its field."""
    head, payload = wire.submit("c1", INTENT, ("cp14",), stream=True)
    raw = json.loads(head)
    raw["intent"].update(change)
    found = refusal([json.dumps(raw).encode(), payload])
    assert (found.status, found.reason) == (400, "bridge.malformed")
    assert says in str(found)


def test_sizes_are_checked_before_anything_is_read() -> None:
    """A header or payload beyond its bound is a 413."""
    assert refusal([b"[" * (wire.MAX_HEADER + 1)]).status == 413
    head, _ = wire.submit("c1", INTENT, ("cp14",), stream=True)
    assert refusal([head, b"x" * (wire.MAX_PAYLOAD + 1)]).status == 413


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_noise_is_refused(frames: list[bytes]) -> None:
    """No bytes at all make the parser raise anything but its refusal, and the refusal can be written down."""
    found = refusal(frames)
    assert wire.parse_header(wire.error(found, request_id=wire.correlation(frames)))["status"] in {400, 413}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_one_changed_field_is_understood_or_refused(data: st.DataObject) -> None:
    """Any field of a good message replaced by any value: a message of the same kind, or a 400 with the right id."""
    head, payload = wire.submit("c1", INTENT, ("cp14",), stream=True)
    raw = json.loads(head)
    place = raw if data.draw(st.booleans()) else raw["intent"]
    name = data.draw(st.sampled_from(sorted(place)))
    place[name] = data.draw(JSON)
    frames = [json.dumps(raw).encode(), payload]
    try:
        found: wire.Message | RequestRefusedError = wire.parse_request(frames)
    except RequestRefusedError as error:
        found = error
    if isinstance(found, RequestRefusedError):
        assert found.status == 400
        readable = name != "id" or (isinstance(raw["id"], str) and len(raw["id"]) <= wire.MAX_ID)
        expected = raw["id"] if readable and name not in {"v", "op"} else wire.correlation(frames)
        assert wire.correlation(frames) == expected
    else:
        assert isinstance(found, wire.Submit)


def test_duplicate_keys_are_refused() -> None:
    """Two readings of one header cannot exist."""
    found = refusal([b'{"v":"cordon.bridge/1","op":"hello","op":"submit","id":"x"}'])
    assert "occurs twice" in str(found)
