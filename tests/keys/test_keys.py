"""Keys: kept private, rotated with exactly two trusted, registered one holder each, signatures of one form only."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import pickle
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from executor.clock import ManualClock, rfc3339
from executor.errors import InvalidInputError, MisuseError, OutsideError
from executor.keys import KeyStore, ProgramSigner, SeedSigner, Trust, key_id, parse_public, signature_fits
from executor.keys.atomic import read_secret

SEED = bytes(range(32))
ORDER = 2**252 + 27742317777372353535851937790883648493
"""L, the order of the base point; RFC 8032 section 5.1."""

# RFC 8032 section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]

# Points of small order in their encodings, reduced and not: under such a key or R one signature fits many messages.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


class Recorder:
    """Keeps what is told to the audit trail; may refuse, as a full disk does."""

    def __init__(self, fail_at: str = "") -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._fail_at = fail_at

    def emit(self, kind: str, actor: str, *, data: Mapping[str, Any] | None = None) -> None:
        """Keep one event, or refuse it."""
        if kind == self._fail_at:
            raise OutsideError("the disk is full")
        assert actor == "cp20"
        self.events.append((kind, dict(data or {})))


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> KeyStore:
    """A key store with its first issuer key."""
    store = KeyStore(tmp_path, clock)
    store.init()
    return store


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC8032)
def test_published_vectors(seed: str, public: str, message: str, signature: str) -> None:
    """RFC 8032's vectors come out, and verify."""
    signer = SeedSigner(bytes.fromhex(seed))
    assert (signer.public.hex(), signer.sign(bytes.fromhex(message)).hex()) == (public, signature)
    assert signature_fits(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))


@given(st.binary(max_size=64), st.integers(0, 511))
def test_one_bit_makes_a_signature_unfit(message: bytes, bit: int) -> None:
    """Any one bit of a signature changed, it fits no longer."""
    signer = SeedSigner(SEED)
    signature = bytearray(signer.sign(message))
    signature[bit // 8] ^= 1 << bit % 8
    assert not signature_fits(signer.public, message, bytes(signature))


@given(st.binary(max_size=64), st.integers(0, 65))
def test_signature_of_another_length_is_unfit(message: bytes, length: int) -> None:
    """Truncated, lengthened and empty signatures do not fit; the whole one does."""
    signer = SeedSigner(SEED)
    signature = (signer.sign(message) + b"\0")[:length]
    assert signature_fits(signer.public, message, signature) == (length == 64)


@given(st.binary(max_size=64))
def test_second_form_of_a_signature_is_unfit(message: bytes) -> None:
    """S + L is the same number modulo L: accepted, it would be a second signature over the same bytes."""
    signer = SeedSigner(SEED)
    signature = signer.sign(message)
    other = int.from_bytes(signature[32:], "little") + ORDER
    assert not signature_fits(signer.public, message, signature[:32] + other.to_bytes(32, "little"))


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_points_of_small_order_are_refused(point: str) -> None:
    """As a key they cannot be registered, and no signature with them as key or as R fits."""
    with pytest.raises(InvalidInputError, match="no valid Ed25519 point"):
        parse_public(point)
    raw = bytes.fromhex(point)
    for scalar in (0, 1, ORDER - 1):
        forged = raw + scalar.to_bytes(32, "little")
        assert not signature_fits(raw, b"any message", forged)
        assert not signature_fits(SeedSigner(SEED).public, b"any message", forged)
    assert not signature_fits(raw, b"any message", bytes(64))


def test_zero_signature_is_unfit() -> None:
    """64 zero bytes are no signature under any key."""
    assert not signature_fits(SeedSigner(SEED).public, b"", bytes(64))
    assert not signature_fits(bytes(32), b"", bytes(64))


@pytest.mark.parametrize(
    "text", ["", "00", "zz" * 32, SeedSigner(SEED).public.hex().upper(), " " + "0" * 63, "2" + "0" * 63]
)
def test_public_keys_have_one_spelling(text: str) -> None:
    """Only 64 lower-case hex digits of a point on the curve are a public key."""
    with pytest.raises(InvalidInputError):
        parse_public(text)


def test_private_keys_are_private(tmp_path: Path, store: KeyStore) -> None:
    """Folders are 0700, private files 0600, and the trust file holds no private key."""
    seed = bytes(store.issuer()._secret[:32]).hex()  # type: ignore[attr-defined]
    for path in (tmp_path / "keys").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    holding = [path.name for path in tmp_path.rglob("*") if path.is_file() and seed in path.read_text("utf-8")]
    assert holding == [f"{store.issuer().kid}.key"]


def test_signers_never_show_their_key(store: KeyStore, caplog: pytest.LogCaptureFixture) -> None:
    """Neither repr, str, logs, errors, copies nor pickles give a private key away."""
    signer = store.issuer()
    seed = bytes(signer._secret[:32])  # type: ignore[attr-defined]
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("%s %r", signer, [signer])
    for shown in (repr(signer), str(signer), f"{[signer]}", caplog.text):
        assert seed.hex() not in shown
        assert repr(seed) not in shown
        assert signer.kid in shown
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(signer)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_file_open_to_others_is_not_used(tmp_path: Path, store: KeyStore, mode: int) -> None:
    """A private key that others may have read is refused, and the message does not hold it."""
    path = tmp_path / "keys" / "private" / f"{store.issuer().kid}.key"
    path.chmod(mode)
    with pytest.raises(OutsideError, match="open to others") as refused:
        store.issuer()
    assert path.read_text("ascii").strip() not in str(refused.value)


def test_a_key_file_is_not_followed_through_a_link(tmp_path: Path, store: KeyStore) -> None:
    """A link in the place of a private key is refused."""
    path = tmp_path / "keys" / "private" / f"{store.issuer().kid}.key"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutsideError, match="cannot read the private key"):
        store.issuer()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_no_private_key(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """One line with the place, and nobody waits for a pipe's other end."""
    make(tmp_path / "key")
    with pytest.raises(OutsideError, match=f"{tmp_path}/key is not a regular file"):
        read_secret(tmp_path / "key")


def test_damaged_key_file_does_not_leak_into_the_error(tmp_path: Path, store: KeyStore) -> None:
    """A broken private key file is named, its content is not shown, not even as the cause."""
    path = tmp_path / "keys" / "private" / f"{store.issuer().kid}.key"
    path.write_text(path.read_text("ascii")[:40] + "xyz")
    with pytest.raises(InvalidInputError) as refused:
        store.issuer()
    assert path.read_text("ascii")[:40] not in str(refused.value)
    assert refused.value.__cause__ is None


def test_rotation_keeps_exactly_two(tmp_path: Path, store: KeyStore, clock: ManualClock) -> None:
    """Three rotations: current and previous are trusted, older ones are retired, their private halves are gone."""
    audit = Recorder()
    kids = [store.issuer().kid]
    for _ in range(3):
        clock.advance(86_400)
        kids.append(store.rotate(audit).current)
    ring = store.ring()
    assert set(ring.issuer_keys()) == set(kids[2:])
    assert [ring.is_retired(kid) for kid in kids] == [True, True, False, False]
    assert (ring.trust.current.kid, ring.trust.current.since_ns) == (kids[3], clock.ns)
    assert [path.stem for path in (tmp_path / "keys" / "private").iterdir()] == [kids[3]]
    raw = json.loads((tmp_path / "policies" / "trust_keys.json").read_text("utf-8"))
    assert (raw["current"]["kid"], raw["previous"]["kid"]) == (kids[3], kids[2])
    assert raw.keys() == {"schema", "issuer", "current", "previous"}
    assert audit.events[-3:] == [
        ("key_event.CREATED", {"kid": kids[3], "role": "issuer", "holder": "cp20"}),
        ("key_event.ROTATED", {"kid": kids[3], "previous": kids[2], "retired": kids[1]}),
        ("key_event.RETIRED", {"kid": kids[1], "role": "issuer", "holder": "cp20"}),
    ]


@pytest.mark.parametrize("fail_at", ["key_event.CREATED", "key_event.ROTATED", "key_event.RETIRED"])
def test_without_a_record_nothing_rotates(store: KeyStore, fail_at: str) -> None:
    """When the audit trail cannot be written, the keys stay as they are."""
    store.rotate()
    before = store.ring()
    with pytest.raises(OutsideError, match="full"):
        store.rotate(Recorder(fail_at))
    assert store.ring() == before
    assert store.issuer().kid == before.trust.current.kid


@pytest.mark.parametrize("step", range(6))
def test_a_rotation_killed_anywhere_can_be_done_again(
    tmp_path: Path, store: KeyStore, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At every change of a file: afterwards a trusted key signs, and the next rotation leaves one private key."""
    store.rotate()
    changes: list[str] = []

    def killed(path: Path, *_: object) -> None:
        changes.append(path.name)
        if len(changes) == step + 1:
            raise KeyboardInterrupt

    def dying(method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Path, *args: Any, **named: Any) -> Any:
            killed(path)
            return method(path, *args, **named)

        return wrapped

    with monkeypatch.context() as patched:
        for name in ("replace", "unlink"):
            patched.setattr(Path, name, dying(getattr(Path, name)))
        with contextlib.suppress(KeyboardInterrupt):
            store.rotate()
    assert store.issuer().kid in store.ring().issuer_keys()
    last = store.rotate()
    ring = store.ring()
    assert set(ring.issuer_keys()) == {last.current, last.previous}
    assert [path.name for path in (tmp_path / "keys" / "private").iterdir()] == [f"{last.current}.key"]
    assert [path.name for path in (tmp_path / "policies").iterdir()] == ["trust_keys.json"]
    assert len(changes) >= min(step + 1, 4)


def test_rotation_is_due_after_a_quarter(store: KeyStore, clock: ManualClock) -> None:
    """The reminder falls due 91 days after the current key began, and moves with a rotation."""
    assert store.ring().trust.rotation_due_ns() == clock.ns + 91 * 86_400 * 10**9
    clock.advance(100 * 86_400)
    assert store.ring().trust.rotation_due_ns() < clock.ns
    store.rotate()
    assert store.ring().trust.rotation_due_ns() > clock.ns


def test_cosigners_are_registered_one_role_and_one_holder_each(store: KeyStore) -> None:
    """A person's key comes from outside, an agent's is made here; no key has two holders, no holder two roles."""
    audit = Recorder()
    person = SeedSigner(SEED)
    registered = store.register("human", "ada", person.public.hex(), audit)
    agent = store.create("agent", "cp14", audit)
    store.create("persona", "architect", audit)
    assert (registered.kid, registered.role, registered.holder) == (person.kid, "human", "ada")
    assert store.signer_for("cp14").kid == agent.kid
    assert set(store.ring().registered) >= {person.kid, agent.kid}
    assert [data["holder"] for _, data in audit.events] == ["ada", "cp14", "architect"]
    with pytest.raises(MisuseError, match="one key has one holder"):
        store.register("human", "bob", person.public.hex())
    with pytest.raises(MisuseError, match="one holder has one role"):
        store.create("agent", "ada")
    with pytest.raises(MisuseError, match="no private key of 'ada'"):
        store.signer_for("ada")
    with pytest.raises(MisuseError, match="one key has one holder"):
        store.register("human", "eve", store.ring().trust.current.public.hex())
    with pytest.raises(InvalidInputError, match="make a name"):
        store.create("agent", "cp14\n")


def test_retired_keys_stay_known_and_refused(store: KeyStore, clock: ManualClock) -> None:
    """A retired cosigner's key is kept as retired; the current issuer key can only be rotated away."""
    agent = store.create("agent", "cp14")
    store.retire(agent.kid)
    ring = store.ring()
    assert (ring.is_retired(agent.kid), ring.registered[agent.kid].retired_ns) == (True, clock.ns)
    with pytest.raises(MisuseError, match="no key"):
        store.retire(agent.kid)
    with pytest.raises(MisuseError, match="no private key"):
        store.signer_for("cp14")
    with pytest.raises(MisuseError, match="rotate"):
        store.retire(store.issuer().kid)
    old = store.issuer().kid
    store.rotate()
    store.retire(old)
    assert set(store.ring().issuer_keys()) == {store.issuer().kid}
    assert store.ring().is_retired(old)


def test_keys_are_made_once(store: KeyStore, tmp_path: Path, clock: ManualClock) -> None:
    """A second init is refused; without one, the message says what to do."""
    with pytest.raises(MisuseError, match="rotate"):
        store.init()
    with pytest.raises(OutsideError, match="cordon keys init"):
        KeyStore(tmp_path / "other", clock).ring()


@pytest.mark.parametrize(
    "damage",
    [
        {"previous": 7},
        {"schema": "cordon.trust/2"},
        {"third": {}},
        {"current": {"kid": "0" * 32, "public": SeedSigner(SEED).public.hex(), "since": rfc3339(0)}},
        {"current": {"kid": key_id(bytes(32)), "public": "00" * 32, "since": rfc3339(0)}},
        {"current": {"kid": SeedSigner(SEED).kid, "public": SeedSigner(SEED).public.hex(), "since": "yesterday"}},
    ],
    ids=["type", "schema", "third-key", "foreign-kid", "small-order", "moment"],
)
def test_damaged_trust_file_is_refused(store: KeyStore, damage: dict[str, Any]) -> None:
    """A trust file that is not exactly the two keys is refused, never half believed."""
    raw = json.loads(store.trust_path.read_text("utf-8"))
    store.trust_path.write_text(json.dumps({**raw, **damage}))
    with pytest.raises(InvalidInputError):
        store.ring()


def test_trust_survives_its_file(store: KeyStore) -> None:
    """What is written is what is read."""
    store.rotate()
    trust = store.ring().trust
    assert Trust.parse(trust.to_json(), where="test") == trust


PROGRAM = "import sys; from nacl.signing import SigningKey; print({}.hex())"


def test_another_process_changes_are_seen_at_once(tmp_path: Path, store: KeyStore, clock: ManualClock) -> None:
    """A ring is of the files as they are when it is asked for: rotated, registered, retired or damaged elsewhere."""
    other = KeyStore(tmp_path, clock)
    before = store.ring()
    assert store.ring() == before
    rotated = other.rotate().current
    assert store.ring().trust.current.kid == rotated
    kid = other.create("agent", "cp18").kid
    assert not store.ring().registered[kid].retired_ns
    other.retire(kid)
    assert store.ring().is_retired(kid)
    other.rotate()
    assert store.ring().is_retired(before.trust.current.kid)
    path = tmp_path / "policies" / "trust_keys.json"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidInputError):
        store.ring()
    path.unlink()
    with pytest.raises(OutsideError, match="no keys yet"):
        store.ring()


def test_external_signer_is_held_to_its_key() -> None:
    """A program's signature is used when it fits its public key, and refused when it signs with another or fails."""
    key = SigningKey(SEED)
    good = f"SigningKey({SEED!r}).sign(sys.stdin.buffer.read()).signature"
    bad = "SigningKey(b'2' * 32).sign(sys.stdin.buffer.read()).signature"
    public = bytes(key.verify_key)
    signer = ProgramSigner([sys.executable, "-c", PROGRAM.format(good)], public)
    assert signer.sign(b"message") == key.sign(b"message").signature
    with pytest.raises(OutsideError, match="did not sign with key"):
        ProgramSigner([sys.executable, "-c", PROGRAM.format(bad)], public).sign(b"message")
    for broken in (
        [sys.executable, "-c", "raise SystemExit(1)"],
        ["/nonexistent"],
        [sys.executable, "-c", "print('x')"],
    ):
        with pytest.raises(OutsideError, match="external signer"):
            ProgramSigner(broken, public).sign(b"message")
