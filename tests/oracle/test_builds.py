"""Builds and oracle statements: signed by the executor, and worth nothing once a byte is changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from executor.builds import Build, Builds
from executor.clock import ManualClock
from executor.dsse import EnvelopeRefusedError
from executor.errors import InvalidInputError
from executor.intent import Command, Intent
from executor.keys import KeyStore
from executor.oracle import physics, statement
from executor.oracle.workflow import Candidate, Examination, read_verdict
from executor.outcome import CollectedFile, CommandResult, EffectClass, Outcome

PROGRAM = b"\x7fELF program"
SHA256 = hashlib.sha256(PROGRAM).hexdigest()
FILES = (
    CollectedFile("/workspace/kernel", 0o755, PROGRAM),
    CollectedFile("/workspace/notes", 0o644, b"text"),
    CollectedFile("/workspace/gone", 0o755, b"", "a link, or leads out of the workspace"),
)
INTENT = Intent("i-1", "cbo", (Command(("g++",)),), capabilities=("base:execute", "dev:compiler"))


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path, ManualClock(1_700_000_000_000_000_000))
    store.init()
    return store


@pytest.fixture
def builds(tmp_path: Path, keys: KeyStore) -> Builds:
    return Builds(tmp_path, keys, ManualClock(1_700_000_000_000_000_000))


def record(builds: Builds, intent: Intent = INTENT, lease: str = "lease-1") -> tuple[Build, ...]:
    return builds.record(intent, FILES, lease_id=lease, policy_digest="sha256:" + "0" * 64, weakened=())


def test_executables_of_a_compiling_run_are_on_record(builds: Builds) -> None:
    """Of what a run with dev:compiler handed back, the executable files are found again by digest, others are not."""
    assert record(builds) == (Build(SHA256, "cbo", "lease-1"),)
    assert builds.find(SHA256) == (Build(SHA256, "cbo", "lease-1"),)
    assert builds.find(hashlib.sha256(b"text").hexdigest()) == ()
    assert builds.find("../" * 4) == ()


def test_without_the_compiler_nothing_is_a_build(builds: Builds) -> None:
    """A run that may not compile makes no artefacts, whatever it hands back."""
    assert record(builds, replace(INTENT, capabilities=("base:execute",))) == ()
    assert builds.find(SHA256) == ()


def test_what_does_not_verify_is_not_there(builds: Builds, tmp_path: Path, keys: KeyStore) -> None:
    """A changed statement, one moved to another digest, and one by a key that is trusted no more count for nothing."""
    record(builds)
    path = tmp_path / "outgoing" / "artefacts" / SHA256 / "lease-1.json"
    original = path.read_bytes()
    raw = json.loads(original)
    path.write_bytes(json.dumps({**raw, "payload": raw["payload"].replace("A", "B", 1)}).encode())
    assert builds.find(SHA256) == ()
    path.write_bytes(b"{")
    assert builds.find(SHA256) == ()
    other = hashlib.sha256(b"other").hexdigest()
    (path.parent.parent / other).mkdir()
    (path.parent.parent / other / "lease-1.json").write_bytes(original)
    assert builds.find(other) == ()
    path.write_bytes(original)
    assert builds.find(SHA256) != ()
    keys.rotate()
    assert builds.find(SHA256) != ()
    keys.rotate()
    assert builds.find(SHA256) == ()


def outcome(effect: EffectClass = "completed", stdout: bytes = b"") -> Outcome:
    result = CommandResult(("python3",), "exited", 0, 0, stdout, b"", 1)
    ends = ({"ts": "2026-01-01T00:00:00.000000Z"},)
    return Outcome("i", "tcg", "allow", (), effect, {}, {"lease_id": "lease-3"}, results=(result,), events=ends)


def verdict(**changes: object) -> bytes:
    whole = {
        "system": "pendulum", "order": 2, "seed": "s", "answers_sha256": hashlib.sha256(b"answers").hexdigest(),
        "passed": True, "failed": "", "why": "", "figures": dict.fromkeys(physics.CHECKS, "1"),
    }  # fmt: skip
    return (physics.MARK + json.dumps({**whole, **changes}) + "\n").encode()


@pytest.mark.parametrize(
    ("effect", "stdout"),
    [
        ("failed", verdict()),
        ("killed", verdict()),
        ("completed", b""),
        ("completed", verdict() * 2),
        ("completed", verdict(seed="t")),
        ("completed", verdict(system="kepler")),
        ("completed", verdict(order=1)),
        ("completed", verdict(answers_sha256="0" * 64)),
        ("completed", verdict(passed=1)),
        ("completed", verdict(figures={})),
        ("completed", verdict()[:-9]),
        ("completed", (physics.MARK + "[" * 100_000).encode()),
    ],
)
def test_a_verdict_counts_only_on_what_was_asked(effect: EffectClass, stdout: bytes) -> None:
    """Another seed, system, order or set of answers, a missing check, a doubled line, another ending: no verdict."""
    candidate = Candidate(b"", "pendulum")
    assert read_verdict(outcome("completed", verdict()), candidate, "s", b"answers")["passed"] is True
    assert read_verdict(outcome(effect, stdout), candidate, "s", b"answers") == {}


def test_only_a_kernel_that_passed_is_signed_for(keys: KeyStore) -> None:
    """The statement names the program and holds only with it; a failed examination gets none."""
    found = Examination(Candidate(b"source"), stage="judge", program=PROGRAM, outcomes={"judge": outcome()})
    with pytest.raises(InvalidInputError):
        statement.create(found, digests={}, signer=keys.issuer())
    found.passed, found.verdict = True, {"passed": True, "figures": {}}
    envelope = statement.create(found, digests={"image": "0" * 64}, signer=keys.issuer())
    trusted = keys.ring().issuer_keys()
    assert statement.verify(envelope, trusted, program=PROGRAM)["program_sha256"] == SHA256
    with pytest.raises(EnvelopeRefusedError, match="not the one that was examined"):
        statement.verify(envelope, trusted, program=PROGRAM + b"x")
    with pytest.raises(EnvelopeRefusedError):
        statement.verify(envelope, {})
    with pytest.raises(EnvelopeRefusedError):
        statement.verify(envelope.replace(b"urn", b"url"), {"k": b"\0" * 32})


@pytest.mark.parametrize(
    "wrong", [{"system": "moon"}, {"order": 0}, {"order": 9}, {"run_s": 0}, {"source": b"x" * (1 << 21)}]
)
def test_a_candidate_that_cannot_be_examined_is_refused(wrong: dict[str, object]) -> None:
    """Unknown systems, orders and huge sources are refused before a machine is started."""
    with pytest.raises(InvalidInputError):
        Candidate(**{"source": b"", **wrong})  # type: ignore[arg-type] # wrong on purpose
