"""Attestations: what was signed is what is read, and every change to it, or to what it is about, is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon.__main__ import main as cordon
from executor import dsse
from executor.canonical import dumps
from executor.clock import ManualClock, SystemClock
from executor.dsse import EnvelopeRefusedError
from executor.errors import InvalidInputError, OutsideError
from executor.keys import KeyStore, SeedSigner, Trust, TrustedKey
from harness.report import attest
from harness.report.attest import PAYLOAD_TYPE, Statement

SIGNER = SeedSigner(bytes(range(32)))
STRANGER = SeedSigner(bytes(range(1, 33)))
KEYS = {SIGNER.kid: SIGNER.public}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
VALUES: dict[str, Any] = {
    "engine": "kvm",
    "digests": {"policy": f"sha256:{'a' * 64}", "image": "b" * 64, "agent": "c" * 64},
    "scenarios": {"total": 5, "passed": 4, "failed": 0, "unmeasured": 1},
    "attempts": {"total": 3, "blocked": 3},
    "duration_s": 12.5,
}


def summary(**changes: Any) -> bytes:
    return json.dumps({**VALUES, **changes}).encode()


def made(text: bytes | None = None, signer: SeedSigner = SIGNER) -> bytes:
    about = summary() if text is None else text
    return attest.create(about, commit=COMMIT, modified=False, signer=signer, clock=ManualClock())


def resigned(payload: Any, payload_type: str = PAYLOAD_TYPE) -> bytes:
    return dsse.sign(payload_type, payload if isinstance(payload, bytes) else dumps(payload), SIGNER)


def statement() -> Any:
    return json.loads(base64.b64decode(json.loads(made())["payload"]))


def test_the_encoding_is_the_specifications() -> None:
    """The test vector of DSSE's protocol.md, and byte lengths for text that is not ASCII."""
    vector = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == vector
    assert dsse.pae("é", "日".encode()) == b"DSSEv1 2 \xc3\xa9 3 \xe6\x97\xa5"
    assert dsse.pae("", b"") == b"DSSEv1 0  0 "


@given(st.text(max_size=9), st.binary(max_size=9), st.text(max_size=9), st.binary(max_size=9))
def test_two_different_payloads_never_encode_alike(kind: str, body: bytes, other_kind: str, other: bytes) -> None:
    """The encoding is injective: nothing can move between type and payload."""
    kind, other_kind = (text.encode(errors="ignore").decode() for text in (kind, other_kind))
    same = (kind, body) == (other_kind, other)
    assert (dsse.pae(kind, body) == dsse.pae(other_kind, other)) == same


def test_what_was_signed_is_what_is_read() -> None:
    """Every bound value comes back, digests without their prefix, with the key that signed."""
    assert attest.verify(made(), KEYS) == Statement(
        summary_sha256=hashlib.sha256(summary()).hexdigest(),
        digests={"policy": "a" * 64, "image": "b" * 64, "agent": "c" * 64},
        commit=COMMIT,
        modified=False,
        engine="kvm",
        results=VALUES["scenarios"],
        attempts=VALUES["attempts"],
        made_at="2023-11-14T22:13:20.000000Z",
        kid=SIGNER.kid,
    )


def test_the_envelope_is_in_totos() -> None:
    """Types and fields as in-toto Statement v1 and DSSE name them; what another tool would look for."""
    envelope = json.loads(made())
    assert set(envelope) == {"payload", "payloadType", "signatures"}
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    found = statement()
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert set(found) == {"_type", "subject", "predicateType", "predicate"}
    assert found["subject"] == [{"name": "summary.json", "digest": {"sha256": hashlib.sha256(summary()).hexdigest()}}]


@given(st.integers(0, len(made()) * 8 - 1))
def test_no_flipped_bit_goes_unnoticed(bit: int) -> None:
    """Any one bit of the envelope: refused, or the statement is the same (a bit of `keyid`, which is only a hint)."""
    damaged = bytearray(made())
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        found = attest.verify(bytes(damaged), KEYS)
    except EnvelopeRefusedError:
        return
    assert found == attest.verify(made(), KEYS)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(envelope: bytes) -> None:
    """Nothing but the refusal comes out of the parser."""
    with pytest.raises(EnvelopeRefusedError):
        attest.verify(envelope, KEYS)


FORGED: dict[str, Any] = {
    "no signatures": {"signatures": []},
    "not a list": {"signatures": {}},
    "too many": {"signatures": [{"sig": "AA=="}] * 17},
    "not an object": {"signatures": ["AA=="]},
    "no sig": {"signatures": [{"keyid": SIGNER.kid}]},
    "short sig": {"signatures": [{"keyid": SIGNER.kid, "sig": "AA=="}]},
    "no payload": {"payload": None},
    "payload with blanks": {"payload": " " + json.loads(made())["payload"]},
    "other type": {"payloadType": "application/json"},
    "no type": {"payloadType": None},
    "stranger's signature": {
        "signatures": [{**json.loads(made(signer=STRANGER))["signatures"][0], "keyid": SIGNER.kid}]
    },
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_envelope_is_refused(kind: str) -> None:
    """Each field of the envelope, wrong in its way; a stranger's signature does not become good by another's keyid."""
    with pytest.raises(EnvelopeRefusedError):
        attest.verify(dumps({**json.loads(made()), **FORGED[kind]}), KEYS)


def test_hints_and_unknown_fields_decide_nothing() -> None:
    """A wrong or missing keyid, further signatures and further fields do no harm; URL-safe base64 is read too."""
    envelope = json.loads(made())
    own, strange = envelope["signatures"][0], json.loads(made(signer=STRANGER))["signatures"][0]
    urlsafe = envelope["payload"].replace("+", "-").replace("/", "_")
    kind = {**envelope, "payload": urlsafe, "more": 1, "signatures": [strange, {"sig": own["sig"], "cert": "x"}]}
    assert attest.verify(dumps(kind), KEYS) == attest.verify(made(), KEYS)
    both = {STRANGER.kid: STRANGER.public, **KEYS}
    assert attest.verify(made(), both).kid == SIGNER.kid


def test_no_trusted_key_means_no_trust() -> None:
    """An empty key list trusts nobody."""
    with pytest.raises(EnvelopeRefusedError):
        attest.verify(made(), {})


WRONG: dict[str, Any] = {
    "type": {"_type": "https://in-toto.io/Statement/v0.1"},
    "predicate type": {"predicateType": "https://slsa.dev/provenance/v1"},
    "no subject": {"subject": []},
    "two subjects": {"subject": [{"name": "summary.json", "digest": {"sha256": "a" * 64}}] * 2},
    "other subject": {"subject": [{"name": "x", "digest": {"sha256": "a" * 64}}]},
    "weak digest": {"subject": [{"name": "summary.json", "digest": {"sha1": "a" * 40}}]},
    "predicate is no object": {"predicate": []},
}
INNER: dict[str, Any] = {
    "commit": {"commit": "main"},
    "modified": {"modified": 0},
    "engine": {"engine": "qemu"},
    "digest": {"digests": {"policy": "a" * 64, "image": "b" * 64, "agent": ""}},
    "missing digest": {"digests": {}},
    "negative": {"results": {"total": 1, "passed": -1, "failed": 0, "unmeasured": 0}},
    "missing count": {"results": {"total": 1}},
    "count is true": {"attempts": {"total": True}},
}


@pytest.mark.parametrize("kind", [*WRONG, *INNER])
def test_a_signed_statement_of_another_form_is_refused(kind: str) -> None:
    """Also under a good signature: only a whole statement about a drill run is one."""
    found = statement()
    changed = (
        {**found, **WRONG[kind]} if kind in WRONG else {**found, "predicate": {**found["predicate"], **INNER[kind]}}
    )
    with pytest.raises(EnvelopeRefusedError, match="statement"):
        attest.verify(resigned(changed), KEYS)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b'{"_type":1,"_type":2}', b"\xff"])
def test_a_signed_payload_that_is_no_statement_is_refused(payload: bytes) -> None:
    """Whatever a trusted key has signed, a statement is parsed strictly."""
    with pytest.raises(EnvelopeRefusedError):
        attest.verify(resigned(payload), KEYS)


def test_a_signature_for_another_payload_type_is_refused() -> None:
    """The type is inside the signed bytes, and it must be in-toto's."""
    with pytest.raises(EnvelopeRefusedError, match="payload type"):
        attest.verify(resigned(statement(), "application/vnd.other+json"), KEYS)


@pytest.mark.parametrize(
    "changes",
    [
        {"digests": {**VALUES["digests"], "image": ""}},
        {"digests": {**VALUES["digests"], "image": f"{'a' * 64},{'b' * 64}"}},
        {"digests": None},
        {"engine": "none"},
        {"scenarios": {}},
        {"attempts": {"total": "3"}},
    ],
)
def test_a_run_that_lacks_a_binding_cannot_be_attested(changes: dict[str, Any]) -> None:
    """No image digest, two policies in one run, no engine, no counts: nothing is signed."""
    with pytest.raises(InvalidInputError):
        made(summary(**changes))


@pytest.mark.parametrize("commit", ["", "main", COMMIT[:-1], COMMIT.upper()])
def test_a_commit_is_a_full_id(commit: str) -> None:
    """A branch or a short id names different things at different times."""
    with pytest.raises(InvalidInputError):
        attest.create(summary(), commit=commit, modified=False, signer=SIGNER, clock=ManualClock())


def test_the_summary_must_be_the_one_attested(tmp_path: Path) -> None:
    """One byte of summary.json changed afterwards is refused; a missing file is told apart."""
    (tmp_path / "summary.json").write_bytes(summary())
    (tmp_path / "attestation.json").write_bytes(made())
    assert attest.verify_file(tmp_path / "attestation.json", KEYS, summary=tmp_path / "summary.json").engine == "kvm"
    (tmp_path / "summary.json").write_bytes(summary() + b" ")
    with pytest.raises(EnvelopeRefusedError, match=r"summary\.json"):
        attest.verify_file(tmp_path / "attestation.json", KEYS, summary=tmp_path / "summary.json")
    with pytest.raises(OutsideError):
        attest.verify_file(tmp_path / "missing", KEYS)


def test_the_command_line_signs_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a checkout and a state folder to a verified statement; a retired trust file refuses it."""
    for words in (["init", "-q"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x", "--allow-empty"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    state, other = tmp_path / "state", tmp_path / "other"
    for folder in (state, other):
        folder.mkdir(mode=0o700)
        KeyStore(folder, SystemClock()).init()
    (tmp_path / "summary.json").write_bytes(summary())
    out, trust = tmp_path / "attestation.json", KeyStore(state, SystemClock()).trust_path
    made_by = ["create", "--summary", tmp_path / "summary.json", "--out", out, "--state", state, "--root", tmp_path]
    assert attest.main([*map(str, made_by)]) == 0
    capsys.readouterr()
    check = ["verify", str(out), "--summary", str(tmp_path / "summary.json"), "--trust"]
    assert attest.main([*check, str(trust)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["commit"], said["modified"]) == (attest.commit_of(tmp_path)[0], True)
    assert attest.main([*check, str(KeyStore(other, SystemClock()).trust_path)]) == 1
    assert attest.main([*check, str(tmp_path / "missing")]) == 1


def test_cordon_report_verify_answers_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json both answers are JSON: it holds, or it does not and why; no attestation at all is wrong use."""

    def told(*words: str) -> tuple[int, dict[str, Any]]:
        status = cordon(["report", "verify", str(tmp_path / "attestation.json"), "--json", *words])
        return status, json.loads(capsys.readouterr().out)

    trust = Trust(TrustedKey(SIGNER.kid, SIGNER.public, 10**18))
    (tmp_path / "trust_keys.json").write_bytes(dumps(trust.to_json()))
    (tmp_path / "summary.json").write_bytes(summary())
    (tmp_path / "attestation.json").write_bytes(made())
    status, said = told()
    assert (status, said["holds"], said["commit"]) == (0, True, COMMIT)
    (tmp_path / "summary.json").write_bytes(summary() + b" ")
    status, said = told()
    assert (status, said["holds"]) == (1, False)
    assert "summary.json" in said["message"]
    (tmp_path / "attestation.json").write_bytes(made()[:-9])
    assert told()[0] == 1
    assert cordon(["report", "verify", str(tmp_path / "missing")]) == 2
    assert "there is no attestation" in capsys.readouterr().err


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    """The commit is asked of git, never guessed."""
    with pytest.raises(OutsideError, match="git"):
        attest.commit_of(tmp_path)
