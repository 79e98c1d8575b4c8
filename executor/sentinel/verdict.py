"""What a review says: one verdict, the findings behind it, and who gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from executor.intent import Intent

ReviewVerdict = Literal["PASS", "FAIL", "ERROR"]
FindingKind = Literal["secret", "pattern", "test"]

MAX_FINDINGS: Final = 50
"""Findings kept per review: enough to mend a change, few enough for one event (64 KiB of data) whatever their texts."""
_MAX_TEXT: Final = 256
"""Characters of a path or message kept: the intent decides their length, a record must not grow with it."""


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
        """The review as JSON values, for the `REVIEWED` event and the report; an ERROR is told as the FAIL it is."""
        return {
            "actor": self.actor,
            "verdict": self.policy_verdict,
            "error": self.verdict == "ERROR",
            "holder": self.holder,
            "findings": [finding.to_json() for finding in self.findings],
        }


def finding(kind: FindingKind, rule: str, path: str, line: int, message: str) -> Finding:
    """A `Finding` whose texts are fit for a record: cut, and with characters that are not printable replaced."""
    return Finding(kind, rule, _plain(path), line, _plain(message))


def approval(intent: Intent, *, holder: str, valid: bool, actor: str = "human") -> Review:
    """A person's review of `intent`: PASS exactly when the signature they gave verified (`valid`)."""
    if valid:
        return Review(actor, "PASS", (), holder)
    objection = finding("test", "signature.invalid", intent.intent_id, 0, "no valid signature over this intent")
    return Review(actor, "FAIL", (objection,), holder)


def _plain(text: str) -> str:
    cut = text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
    return "".join(char if char.isprintable() else "\ufffd" for char in cut)
