"""What was built here: for each executable that a compiling run handed back, a statement signed by the executor.

An artefact may be executed only where such a statement says that the same requester's run made these very bytes
(policies/cordon/rules/artefacts). A statement is an in-toto Statement v1 in a DSSE envelope, one file each:
outgoing/artefacts/SHA256/LEASE_ID.json. What does not verify is as if it were not there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from executor import canonical, dsse
from executor.clock import Clock, rfc3339
from executor.errors import CordonError
from executor.intent import Intent
from executor.keys import KeyStore
from executor.keys.atomic import PUBLIC_MODE, write_atomic
from executor.outcome import CollectedFile

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
PREDICATE_TYPE: Final = "urn:cordon:build:v1"
COMPILER: Final = "dev:compiler"
MOST: Final = 32
"""Statements written for one run, and read for one digest: a build makes a few programs, not thousands."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Build:
    """One executable as it came out of a run."""

    sha256: str
    requester: str
    lease_id: str


class Builds:
    """The statements in a state folder. Thread-safe: each is a file of its own, written whole."""

    def __init__(self, state: Path, keys: KeyStore, clock: Clock) -> None:
        """`state`: the state folder."""
        self._folder: Final = state / "outgoing" / "artefacts"
        self._keys: Final = keys
        self._clock: Final = clock

    def record(
        self,
        intent: Intent,
        files: Iterable[CollectedFile],
        *,
        lease_id: str,
        policy_digest: str,
        weakened: Iterable[str],
    ) -> tuple[Build, ...]:
        """Sign for what a finished run of `intent` under a lease with dev:compiler handed back to be executed."""
        if COMPILER not in intent.capabilities:
            return ()
        made = [file for file in files if not file.refused and file.mode & 0o111 and file.content][:MOST]
        signer = self._keys.issuer() if made else None
        found = []
        for file in made:
            if signer is None:
                break
            build = Build(hashlib.sha256(file.content).hexdigest(), intent.requester, lease_id)
            statement = {
                "_type": STATEMENT_TYPE,
                "subject": [{"name": file.path, "digest": {"sha256": build.sha256}}],
                "predicateType": PREDICATE_TYPE,
                "predicate": {
                    "requester": build.requester,
                    "intent_id": intent.intent_id,
                    "lease_id": lease_id,
                    "policy_digest": policy_digest,
                    "weakened": sorted(weakened),
                    "commands": [list(command.argv) for command in intent.commands],
                    "sources": [
                        {"path": one.path, "sha256": hashlib.sha256(one.content).hexdigest()} for one in intent.files
                    ],
                    "made_at": rfc3339(self._clock.now_ns()),
                },
            }
            target = self._folder / build.sha256 / f"{lease_id}.json"
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_atomic(target, dsse.sign(PAYLOAD_TYPE, canonical.dumps(statement), signer), PUBLIC_MODE)
            found.append(build)
        return tuple(found)

    def find(self, sha256: str) -> tuple[Build, ...]:
        """Every build that made these bytes, as far as a key that is trusted now says so."""
        if not _DIGEST.fullmatch(sha256):
            return ()
        return tuple(self._verified(sha256))

    def _verified(self, sha256: str) -> Iterator[Build]:
        folder = self._folder / sha256
        for path in sorted(folder.glob("lease-*.json"))[:MOST] if folder.is_dir() else ():
            try:
                found = dsse.verify(path.read_bytes(), self._keys.ring().issuer_keys())
                raw: Any = canonical.loads(found.payload, where=path.name)
                predicate, (subject,) = raw["predicate"], raw["subject"]
                build = Build(subject["digest"]["sha256"], predicate["requester"], predicate["lease_id"])
            except (CordonError, OSError, KeyError, TypeError, ValueError):
                continue
            kinds = (found.payload_type, raw["_type"], raw["predicateType"])
            if kinds == (PAYLOAD_TYPE, STATEMENT_TYPE, PREDICATE_TYPE) and build.sha256 == sha256:
                yield build
