"""What the executor signs for a kernel that passed: an in-toto Statement v1 in a DSSE envelope, and its check.

The subject is the program by its digest; the predicate binds the source, the questions, the answers, every figure, the
leases of the three runs and what they ran on. It says who found what, not that the physics is right elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from executor import canonical, dsse
from executor.builds import PAYLOAD_TYPE, STATEMENT_TYPE
from executor.dsse import EnvelopeRefusedError
from executor.errors import InvalidInputError
from executor.keys import Signer
from executor.oracle.workflow import NAME, Examination

PREDICATE_TYPE: Final = "urn:cordon:physics-oracle:v1"


def create(found: Examination, *, digests: Mapping[str, str], signer: Signer) -> bytes:
    """The signed envelope; raises `InvalidInputError` for an examination that was not passed."""
    if not found.passed:
        raise InvalidInputError("only a kernel that passed is signed for")
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": NAME, "digest": {"sha256": hashlib.sha256(found.program).hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "source_sha256": hashlib.sha256(found.candidate.source).hexdigest(),
            "requester": found.candidate.requester,
            "verdict": found.verdict,
            "leases": {
                stage: str((outcome.lease or {}).get("lease_id", "")) for stage, outcome in found.outcomes.items()
            },
            "machines": {stage: outcome.vm_id for stage, outcome in found.outcomes.items()},
            "engine": found.outcomes["judge"].engine,
            "digests": dict(digests),
            "made_at": str(found.outcomes["judge"].events[-1]["ts"]),
        },
    }
    return dsse.sign(PAYLOAD_TYPE, canonical.dumps(statement), signer)


def verify(envelope: bytes, trusted_keys: Mapping[str, bytes], *, program: bytes | None = None) -> dict[str, Any]:
    """The statement's predicate with `program_sha256` and `kid`; raises `EnvelopeRefusedError` for what does not hold.

    With `program`, those bytes must be what was examined.
    """
    found = dsse.verify(envelope, trusted_keys)
    try:
        raw = canonical.loads(found.payload, where="statement")
        kinds = (found.payload_type, raw["_type"], raw["predicateType"])
        (subject,) = raw["subject"]
        sha256, predicate = str(subject["digest"]["sha256"]), dict(raw["predicate"])
        passed = predicate["verdict"]["passed"]
    except (InvalidInputError, KeyError, TypeError, ValueError) as error:
        raise EnvelopeRefusedError(f"statement: not one of the physics oracle ({error})") from None
    if kinds != (PAYLOAD_TYPE, STATEMENT_TYPE, PREDICATE_TYPE) or passed is not True:
        raise EnvelopeRefusedError("statement: not one of the physics oracle about a kernel that passed")
    if program is not None and hashlib.sha256(program).hexdigest() != sha256:
        raise EnvelopeRefusedError("the program is not the one that was examined")
    return {**predicate, "program_sha256": sha256, "kid": found.kid}
