"""The key folder: private keys, the trust file, the registered cosigners, and their quarterly rotation.

    <state>/keys/            0700
        private/<kid>.key    0600, hex seed, one line
        registered.json      cosigners' public keys
        retired.json         ids of issuer keys that are trusted no longer
    <state>/policies/trust_keys.json   0644, exactly the current and the previous issuer key

Order of every change: audit event first (no record, no change), then the private key, then the public file, then the
old private key is removed. A crash in between leaves the old keys working.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from executor import canonical
from executor.errors import InvalidInputError, MisuseError, OutsideError
from executor.keys import atomic
from executor.keys.ring import ISSUER, KeyRing, RegisteredKey, Role, Trust, TrustedKey
from executor.keys.signer import SEED_BYTES, SeedSigner, Signer, key_id, parse_public

if TYPE_CHECKING:
    from executor.clock import Clock

KEYS_SCHEMA: Final = "cordon.keys/1"
RETIRED_SCHEMA: Final = "cordon.retired_keys/1"


Parsed = TypeVar("Parsed")


class Audit(Protocol):
    """The part of `executor.svf.SvfLog` that recording a key's life needs."""

    def emit(self, kind: str, actor: str, *, data: Mapping[str, Any] | None = None) -> object:
        """Record one event durably."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation changed; `retired` is '' for the first one."""

    current: str
    previous: str
    retired: str


class KeyStore:
    """Keys on disk. Reads take a snapshot (`ring`); changes hold a lock against every other process."""

    def __init__(self, state: Path, clock: Clock) -> None:
        """`state`: the state folder; nothing is created before `init`."""
        self._folder = state / "keys"
        self._private = self._folder / "private"
        self._trust = state / "policies" / "trust_keys.json"
        self._clock = clock
        self._known: dict[Path, tuple[tuple[int, ...], Any]] = {}
        """What a file was parsed into, and which file it was: kept until another one is there."""

    @property
    def trust_path(self) -> Path:
        """Where the trust file is."""
        return self._trust

    def init(self, audit: Audit | None = None) -> Trust:
        """Make the issuer's first key; raises `MisuseError` when there is one already."""
        atomic.make_private_folder(self._folder)
        atomic.make_private_folder(self._private)
        self._trust.parent.mkdir(parents=True, exist_ok=True)
        with self._changing():
            if self._trust.exists():
                raise MisuseError(f"{self._trust} exists; `cordon keys rotate` makes a new key")
            seed, key = self._new_issuer_key()
            _tell(audit, "key_event.CREATED", {"kid": key.kid, "role": "issuer", "holder": ISSUER})
            self._write_private(key.kid, seed)
            trust = Trust(key)
            self._write_trust(trust)
            return trust

    def ring(self) -> KeyRing:
        """Every public key as it is now; raises `OutsideError` when keys were never made."""
        return KeyRing(self._read_trust(), {key.kid: key for key in self._read_registered()}, self._read_retired())

    def issuer(self) -> Signer:
        """Signs leases and audit heads with the current key."""
        return self._signer(self._read_trust().current.kid)

    def signer_for(self, holder: str) -> Signer:
        """The signer of a cosigner whose private key is kept here; raises `MisuseError` when it is not."""
        for key in self._read_registered():
            if key.holder == holder and not key.retired_ns and (self._private / f"{key.kid}.key").exists():
                return self._signer(key.kid)
        raise MisuseError(f"no private key of {holder!r} is kept here; it signs elsewhere, or was never registered")

    def rotate(self, audit: Audit | None = None) -> Rotation:
        """New current key; the current one becomes the previous one, and the one before is retired and removed."""
        with self._changing():
            old = self._read_trust()
            seed, key = self._new_issuer_key()
            gone = old.previous.kid if old.previous else ""
            _tell(audit, "key_event.CREATED", {"kid": key.kid, "role": "issuer", "holder": ISSUER})
            _tell(audit, "key_event.ROTATED", {"kid": key.kid, "previous": old.current.kid, "retired": gone})
            if gone:
                _tell(audit, "key_event.RETIRED", {"kid": gone, "role": "issuer", "holder": ISSUER})
            self._write_private(key.kid, seed)
            if gone:
                # Before the trust file: between the two, a key is on both lists and counts as retired.
                self._write_retired(self._read_retired() | {gone})
            self._write_trust(Trust(key, old.current))
            # Only the current key signs; the previous one is needed for verifying alone.
            self._keep_private({key.kid, *(registered.kid for registered in self._read_registered())})
            return Rotation(key.kid, old.current.kid, gone)

    def create(self, role: Role, holder: str, audit: Audit | None = None) -> RegisteredKey:
        """Make and register a key whose private half is kept here: for cp14, cp18 and drills."""
        seed = secrets.token_bytes(SEED_BYTES)
        return self._register(role, holder, SeedSigner(seed).public, seed, audit)

    def register(self, role: Role, holder: str, public: str, audit: Audit | None = None) -> RegisteredKey:
        """Register a key (64 hex digits) whose private half is elsewhere: people's keys."""
        return self._register(role, holder, parse_public(public), b"", audit)

    def retire(self, kid: str, audit: Audit | None = None) -> None:
        """Trust `kid` no longer; raises `MisuseError` for the issuer's current key, which `rotate` replaces."""
        with self._changing():
            trust = self._read_trust()
            if kid == trust.current.kid:
                raise MisuseError("this is the current issuer key; `cordon keys rotate` first")
            if trust.previous and kid == trust.previous.kid:
                _tell(audit, "key_event.RETIRED", {"kid": kid, "role": "issuer", "holder": ISSUER})
                self._write_retired(self._read_retired() | {kid})
                self._write_trust(Trust(trust.current))
                self._remove_private(kid)
                return
            keys = self._read_registered()
            for index, key in enumerate(keys):
                if key.kid == kid and not key.retired_ns:
                    _tell(audit, "key_event.RETIRED", {"kid": kid, "role": key.role, "holder": key.holder})
                    keys[index] = replace(key, retired_ns=self._clock.now_ns())
                    self._write_registered(keys)
                    self._remove_private(kid)
                    return
            raise MisuseError(f"no key {kid} is in use; `cordon keys list` shows those that are")

    def _register(self, role: Role, holder: str, public: bytes, seed: bytes, audit: Audit | None) -> RegisteredKey:
        if not holder.isascii() or not holder.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise InvalidInputError(f"holder {holder!r}: letters, digits, '-', '_' and '.' make a name")
        with self._changing():
            keys = self._read_registered()
            kid = key_id(public)
            trust = self._read_trust()
            if any(key.kid == kid for key in keys) or kid in {trust.current.kid, *self._read_retired()}:
                raise MisuseError(f"key {kid} is known already; one key has one holder")
            if others := {key.role for key in keys if key.holder == holder and key.role != role}:
                raise MisuseError(f"{holder} is registered as {others.pop()}; one holder has one role")
            key = RegisteredKey(kid, role, holder, public, self._clock.now_ns())
            _tell(audit, "key_event.CREATED", {"kid": kid, "role": role, "holder": holder})
            if seed:
                self._write_private(kid, seed)
            self._write_registered([*keys, key])
            return key

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the keys against every other process."""
        with atomic.exclusive(self._folder / ".lock"):
            for folder in (self._folder, self._private):
                atomic.sweep(folder)
            atomic.sweep(self._trust.parent, self._trust.name)
            yield

    def _new_issuer_key(self) -> tuple[bytes, TrustedKey]:
        seed = secrets.token_bytes(SEED_BYTES)
        signer = SeedSigner(seed)
        return seed, TrustedKey(signer.kid, signer.public, self._clock.now_ns())

    def _signer(self, kid: str) -> Signer:
        signer = self._read(self._private / f"{kid}.key", SeedSigner.from_file)
        if signer.kid != kid:
            raise OutsideError(f"the private key file of {kid} holds another key")
        return signer

    def _read_trust(self) -> Trust:
        return self._read(self._trust, self._parse_trust)

    def _parse_trust(self, path: Path) -> Trust:
        if not path.exists():
            raise OutsideError(f"there are no keys yet ({path}); `cordon keys init` makes them")
        return Trust.parse(self._read_json(path), where=str(path))

    def _read_registered(self) -> list[RegisteredKey]:
        return list(self._read(self._folder / "registered.json", self._parse_registered))

    def _parse_registered(self, path: Path) -> tuple[RegisteredKey, ...]:
        raws = enumerate(self._read_list(path, KEYS_SCHEMA))
        return tuple(RegisteredKey.parse(raw, where=f"{path}: keys[{index}]") for index, raw in raws)

    def _read_retired(self) -> frozenset[str]:
        return self._read(self._folder / "retired.json", self._parse_retired)

    def _parse_retired(self, path: Path) -> frozenset[str]:
        return frozenset(self._read_list(path, RETIRED_SCHEMA))

    def _read(self, path: Path, parse: Callable[[Path], Parsed]) -> Parsed:
        """What `parse` makes of `path`; once for each file that is put there, every path asks several times.

        A change here is another file (`write_atomic`: made while the old one is there, so its inode differs), one by
        hand shows in the times. The look comes before the reading: a change in between is found the next time.
        """
        try:
            seen = path.stat()
        except OSError:
            return parse(path)
        which = (seen.st_dev, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size)
        known = self._known.get(path)
        if known is not None and known[0] == which:
            found: Parsed = known[1]
            return found
        fresh = parse(path)
        self._known[path] = (which, fresh)
        return fresh

    def _read_list(self, path: Path, schema: str) -> list[Any]:
        if not path.exists():
            return []
        raw = self._read_json(path)
        if not isinstance(raw, dict) or raw.keys() != {"schema", "keys"} or raw["schema"] != schema:
            raise InvalidInputError(f"{path}: wanted an object of schema {schema} with keys")
        keys = raw["keys"]
        if not isinstance(keys, list):
            raise InvalidInputError(f"{path}: keys is not a list")
        return keys

    def _read_json(self, path: Path) -> Any:
        return canonical.loads(atomic.read_public(path), where=str(path))

    def _write_trust(self, trust: Trust) -> None:
        atomic.write_atomic(self._trust, canonical.dumps(trust.to_json()), atomic.PUBLIC_MODE)

    def _write_registered(self, keys: list[RegisteredKey]) -> None:
        content = {"schema": KEYS_SCHEMA, "keys": [key.to_json() for key in keys]}
        atomic.write_atomic(self._folder / "registered.json", canonical.dumps(content), atomic.SECRET_MODE)

    def _write_retired(self, kids: frozenset[str]) -> None:
        content = {"schema": RETIRED_SCHEMA, "keys": sorted(kids)}
        atomic.write_atomic(self._folder / "retired.json", canonical.dumps(content), atomic.SECRET_MODE)

    def _write_private(self, kid: str, seed: bytes) -> None:
        atomic.write_atomic(self._private / f"{kid}.key", seed.hex().encode() + b"\n", atomic.SECRET_MODE)

    def _keep_private(self, kids: set[str]) -> None:
        """Remove every private key but those of `kids`; an interrupted rotation or registration leaves one behind."""
        for path in self._private.glob("*.key"):
            if path.stem not in kids:
                path.unlink(missing_ok=True)

    def _remove_private(self, kid: str) -> None:
        if kid:
            (self._private / f"{kid}.key").unlink(missing_ok=True)


def _tell(audit: Audit | None, kind: str, data: Mapping[str, Any]) -> None:
    """Record the change first: when that fails, nothing is changed."""
    if audit is not None:
        audit.emit(kind, ISSUER, data=data)
