"""What a review says: one verdict, the findings behind it, and who gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from executor.intent import Intent

ReviewVerdict = Literal["PASS", "FAIL", "ERROR"]
FindingKind = Literal["secret", "pattern", "test"]

MAX_FINDINGS: Final = 200
"""Findings kept per review: enough to mend a change, few enough for one event."""
_MAX_PATH: Final = 512
"""Characters of a path kept in a finding; the intent decides its length, a record must not grow with it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a review objects to. `message` never holds the text found, `line` is 0 when there is none."""

    kind: FindingKind
    rule: str
    path: str
    line: int
    message: str

    @property
    def where(self) -> str:
        """The place in one string, as the policy's facts want it."""
        return f"{self.path}:{self.line}" if self.line else self.path

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return {"kind": self.kind, "rule": self.rule, "path": self.path, "line": self.line, "message": self.message}


@dataclass(frozen=True, slots=True)
class Review:
    """One review of one intent. ERROR means that the review could not be made, and counts as FAIL."""

    actor: str
    """cp14, cp18 or human."""
    verdict: ReviewVerdict
    findings: tuple[Finding, ...]
    holder: str
    """Who holds the key the review is given with; two keys for production must have different holders."""

    @property
    def passed(self) -> bool:
        """Whether the verdict is PASS."""
        return self.verdict == "PASS"

    @property
    def policy_verdict(self) -> Literal["PASS", "FAIL"]:
        """The verdict as the policy is told it: whatever is not a PASS is a FAIL (fail closed)."""
        return "PASS" if self.passed else "FAIL"

    @property
    def secrets(self) -> tuple[Finding, ...]:
        """The secrets found."""
        return tuple(finding for finding in self.findings if finding.kind == "secret")

    @property
    def patterns(self) -> tuple[Finding, ...]:
        """The forbidden patterns found."""
        return tuple(finding for finding in self.findings if finding.kind == "pattern")

    def to_json(self) -> dict[str, Any]:
        """The review as JSON values, for the `REVIEWED` event and the report."""
        return {
            "actor": self.actor,
            "verdict": self.verdict,
            "holder": self.holder,
            "findings": [finding.to_json() for finding in self.findings],
        }


def finding(kind: FindingKind, rule: str, path: str, line: int, message: str) -> Finding:
    """A `Finding` whose path is cut to a length fit for a record."""
    return Finding(kind, rule, path if len(path) <= _MAX_PATH else path[: _MAX_PATH - 1] + "…", line, message)


def approval(intent: Intent, *, holder: str, valid: bool, actor: str = "human") -> Review:
    """A person's review of `intent`: PASS exactly when the signature they gave verified (`valid`)."""
    if valid:
        return Review(actor, "PASS", (), holder)
    objection = finding("test", "signature.invalid", intent.intent_id, 0, "no valid signature over this intent")
    return Review(actor, "FAIL", (objection,), holder)
