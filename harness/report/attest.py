"""Attest a drill run: an in-toto Statement v1 in a DSSE envelope, and its check, which needs no network.

The statement's subject is summary.json; its predicate binds what the run was judged with (policy, gold image, agent),
the commit, the engine and the headline figures. `python -m harness.report.attest create|verify --help` shows how.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from executor import canonical, dsse
from executor.clock import Clock, SystemClock, rfc3339
from executor.dsse import EnvelopeRefusedError
from executor.errors import CordonError, InvalidInputError, MisuseError, OutsideError
from executor.keys import KeyStore, Signer, Trust
from executor.keys.atomic import PUBLIC_MODE, write_atomic
from executor.paths import state_dir

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
PREDICATE_TYPE: Final = "urn:cordon:drill-run:v1"
SUMMARY: Final = Path("build/drills/summary.json")
ATTESTATION: Final = Path("build/drills/attestation.json")
DIGESTS: Final = ("policy", "image", "agent")
COUNTS: Final = ("total", "passed", "failed", "unmeasured")
MAX_SUMMARY: Final = 64 << 20
"""Bytes of a summary.json."""
_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a verified attestation says. Digests are SHA-256 in hex."""

    summary_sha256: str
    digests: Mapping[str, str]
    commit: str
    modified: bool
    """The checkout held changes that no commit has."""
    engine: str
    results: Mapping[str, int]
    attempts: Mapping[str, int]
    made_at: str
    kid: str
    """The trusted key that signed it."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "summary_sha256": self.summary_sha256,
            "digests": dict(self.digests),
            "commit": self.commit,
            "modified": self.modified,
            "engine": self.engine,
            "results": dict(self.results),
            "attempts": dict(self.attempts),
            "made_at": self.made_at,
            "kid": self.kid,
        }


def create(summary: bytes, *, commit: str, modified: bool, signer: Signer, clock: Clock) -> bytes:
    """The signed envelope about the run whose summary.json is `summary`.

    Raises `InvalidInputError` when the summary lacks what is to be bound: only a run on VMs can be attested.
    """
    try:
        values = json.loads(summary)
    except ValueError as error:
        raise InvalidInputError(f"summary: not JSON: {error}") from None
    if not isinstance(values, dict) or not _COMMIT.fullmatch(commit):
        raise InvalidInputError("an attestation needs a summary object and a full commit id")
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": SUMMARY.name, "digest": {"sha256": hashlib.sha256(summary).hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "digests": {name: _digest(values, name) for name in DIGESTS},
            "commit": commit,
            "modified": modified,
            "engine": _engine(values),
            "results": _counts(values.get("scenarios"), COUNTS),
            "attempts": _counts(values.get("attempts"), None),
            "made_at": rfc3339(clock.now_ns()),
        },
    }
    return dsse.sign(PAYLOAD_TYPE, canonical.dumps(statement), signer)


def verify(envelope: bytes, trusted_keys: Mapping[str, bytes]) -> Statement:
    """The statement in `envelope`. Raises `EnvelopeRefusedError` naming what does not hold."""
    found = dsse.verify(envelope, trusted_keys)
    if found.payload_type != PAYLOAD_TYPE:
        raise EnvelopeRefusedError(f"payload type is {found.payload_type[:100]!r}, not {PAYLOAD_TYPE}")
    try:
        raw = canonical.loads(found.payload, where="statement")
    except InvalidInputError as error:
        raise EnvelopeRefusedError(str(error)) from None
    try:
        return _statement(raw, found.kid)
    except (KeyError, TypeError, ValueError, InvalidInputError) as error:
        raise EnvelopeRefusedError(f"statement: not one of a drill run ({type(error).__name__}: {error})") from None


def verify_file(path: Path, trusted_keys: Mapping[str, bytes], *, summary: Path | None = None) -> Statement:
    """The statement in the file at `path`; with `summary`, that file must be the one it is about.

    Raises `EnvelopeRefusedError` for what does not hold, `OutsideError` for a file that cannot be read.
    """
    statement = verify(_read(path, dsse.MAX_ENVELOPE), trusted_keys)
    if summary is not None and hashlib.sha256(_read(summary, MAX_SUMMARY)).hexdigest() != statement.summary_sha256:
        raise EnvelopeRefusedError(f"{summary} is not the summary that was attested")
    return statement


def trusted_from(trust_file: Path) -> dict[str, bytes]:
    """Key id -> public key from a trust file (`policies/trust_keys.json` of a state folder)."""
    raw = canonical.loads(_read(trust_file, 1 << 20), where=str(trust_file))
    trust = Trust.parse(raw, where=str(trust_file))
    return {key.kid: key.public for key in (trust.current, trust.previous) if key is not None}


def commit_of(root: Path) -> tuple[str, bool]:
    """The checkout's commit, and whether it has changes beside it. Raises `OutsideError` where git cannot tell."""
    answers = []
    for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=normal"]):
        try:
            ended = subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OutsideError(f"git could not be asked for the commit: {error}") from None
        if ended.returncode:
            raise OutsideError(
                f"git could not tell the commit of {root}: {ended.stderr.decode(errors='replace')[:200]}"
            )
        answers.append(ended.stdout.decode("ascii", "replace").strip())
    return answers[0], bool(answers[1])


def _statement(raw: Any, kid: str) -> Statement:
    if raw["_type"] != STATEMENT_TYPE or raw["predicateType"] != PREDICATE_TYPE:
        raise InvalidInputError("other type or predicate type")
    (subject,) = raw["subject"]
    predicate = raw["predicate"]
    if subject["name"] != SUMMARY.name or type(predicate["modified"]) is not bool:
        raise InvalidInputError("other subject, or `modified` is neither true nor false")
    if not _COMMIT.fullmatch(predicate["commit"]):
        raise InvalidInputError("no commit id")
    return Statement(
        summary_sha256=_hex(subject["digest"]["sha256"]),
        digests={name: _hex(predicate["digests"][name]) for name in DIGESTS},
        commit=predicate["commit"],
        modified=predicate["modified"],
        engine=_engine(predicate),
        results=_counts(predicate["results"], COUNTS),
        attempts=_counts(predicate["attempts"], None),
        made_at=str(predicate["made_at"]),
        kid=kid,
    )


def _digest(values: Mapping[str, Any], name: str) -> str:
    found = values.get("digests")
    if not isinstance(found, Mapping) or not isinstance(found.get(name), str):
        raise InvalidInputError(f"summary: no digest of the {name}")
    if not _DIGEST.fullmatch(found[name]):
        raise InvalidInputError(
            f"summary: {name} has not one digest but {found[name][:150]!r}; only one run is attested"
        )
    return _hex(found[name])


def _hex(text: str) -> str:
    if not (match := _DIGEST.fullmatch(text)):
        raise InvalidInputError("not a SHA-256 digest")
    return match[1]


def _engine(values: Mapping[str, Any]) -> str:
    engine = values.get("engine")
    if not isinstance(engine, str) or not re.fullmatch(r"(?:kvm|tcg|sim)(?:,(?:kvm|tcg|sim))*", engine):
        raise InvalidInputError("no engine")
    return engine


def _counts(raw: Any, names: Sequence[str] | None) -> dict[str, int]:
    if not isinstance(raw, Mapping) or not all(type(value) is int and value >= 0 for value in raw.values()):
        raise InvalidInputError("counts are whole numbers by name")
    if names is not None and set(raw) != set(names):
        raise InvalidInputError(f"counts are {', '.join(names)}")
    return dict(raw)


def _read(path: Path, at_most: int) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(at_most + 1)
    except OSError as error:
        raise OutsideError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > at_most:
        raise EnvelopeRefusedError(f"{path}: over {at_most} bytes")
    return content


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m harness.report.attest`; 0 good, 1 refused or impossible, 2 wrong use."""
    args = _parser().parse_args(arguments)
    try:
        if args.action == "create":
            commit, modified = commit_of(args.root)
            signer = KeyStore(args.state or state_dir(), SystemClock()).issuer()
            envelope = create(
                _read(args.summary, MAX_SUMMARY), commit=commit, modified=modified, signer=signer, clock=SystemClock()
            )
            write_atomic(args.out, envelope, PUBLIC_MODE)
            sys.stdout.write(f"{args.out}: signed by {signer.kid}\n")
        else:
            statement = verify_file(args.file, trusted_from(args.trust), summary=args.summary)
            sys.stdout.write(json.dumps(statement.to_json(), indent=2) + "\n")
    except CordonError as error:
        sys.stderr.write(f"attest: error: {error} [{error.code}]\n")
        return 2 if isinstance(error, MisuseError) else 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description="Attest a drill run, or check it.")
    actions = parser.add_subparsers(dest="action", required=True)
    make = actions.add_parser("create", help="sign a statement about summary.json")
    make.add_argument("--summary", type=Path, default=SUMMARY)
    make.add_argument("--out", type=Path, default=ATTESTATION)
    make.add_argument("--state", type=Path, default=None, help="state folder with the signing key (default: yours)")
    make.add_argument("--root", type=Path, default=Path(), help="checkout whose commit is named")
    check = actions.add_parser("verify", help="check an attestation without a network")
    check.add_argument("file", type=Path)
    check.add_argument(
        "--trust", type=Path, required=True, help="trust file: policies/trust_keys.json of a state folder"
    )
    check.add_argument("--summary", type=Path, default=None, help="summary.json that it must be about")
    return parser


if __name__ == "__main__":
    sys.exit(main())
