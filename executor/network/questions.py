"""What one machine asked for, kept for the record within bounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from executor.network import dns

KEPT: Final = 64
"""Different names that are recorded; of those beyond only the number is. 64 names of 253 characters fit an event."""


@dataclass(slots=True)
class Questions:
    """Grows with every question; `record` is what the trail gets.

    Names are the one thing a machine can say here, and nobody outside the host hears them: refused ones end in this
    record, which is the whole capacity of the channel. The longest label and the highest entropy (bits per character)
    tell encoded data from a name mistyped.
    """

    asked: int = 0
    refused: int = 0
    malformed: int = 0
    longest_label: int = 0
    entropy: float = 0.0
    names: dict[str, int] = field(default_factory=dict)
    """Refused names and how often each was asked for."""

    def add(self, answer: dns.Answer | None) -> None:
        """Count one."""
        self.asked += 1
        if answer is None or answer.rcode in {dns.FORMERR, dns.NOTIMP}:
            self.malformed += 1
            return
        self.longest_label = max(self.longest_label, answer.longest_label)
        if answer.rcode == dns.NOERROR:
            return
        self.refused += 1
        self.entropy = max(self.entropy, dns.entropy(answer.name))
        if answer.name in self.names or len(self.names) < KEPT:
            self.names[answer.name] = self.names.get(answer.name, 0) + 1

    def record(self) -> dict[str, Any]:
        """For an event; entropy in thousandths of a bit, since signed data holds no fractions."""
        return {
            "asked": self.asked,
            "refused": self.refused,
            "malformed": self.malformed,
            "longest_label": self.longest_label,
            "entropy_millibits": round(self.entropy * 1000),
            "refused_names": sorted(self.names),
        }
