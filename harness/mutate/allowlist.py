"""What is explained: `mutation_allow.yaml` in the policy directory, with a reason for each entry.

- `mutation_allow`: survivors by mutant id; `*` in an id stands for anything, for places that all have one reason;
- `mutation_skip`: files that hold no judgement although they lie among the policies; they are not mutated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from executor.errors import InvalidInputError
from harness.document.strict_yaml import Document, load_documents

FILE_NAME: Final = "mutation_allow.yaml"
ALLOW: Final = "mutation_allow"
SKIP: Final = "mutation_skip"
MIN_REASON: Final = 15
"""Characters of a reason; `equivalent` alone explains nothing."""


@dataclass(frozen=True, slots=True)
class Allowlist:
    """The entries with their reasons."""

    survivors: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def entry_for(self, mutant_id: str) -> str | None:
        """The entry that explains `mutant_id`: its own, else the first that fits it."""
        if mutant_id in self.survivors:
            return mutant_id
        return next((entry for entry in self.survivors if "*" in entry and _fits(entry, mutant_id)), None)

    def reason(self, mutant_id: str) -> str | None:
        """Why `mutant_id` may survive; None when nobody said."""
        entry = self.entry_for(mutant_id)
        return None if entry is None else self.survivors[entry]

    def stale(
        self, *, existing: Sequence[str], survived: Iterable[str], ran: Iterable[str], files: Iterable[str]
    ) -> list[str]:
        """Entries that explain nothing, sorted: of no mutant or file there is, or of mutants that all were killed."""
        needed = {self.entry_for(name) for name in survived}
        tried = set(ran)
        result = sorted(set(self.skipped) - set(files))
        for entry in self.survivors:
            meant = [name for name in existing if name == entry or ("*" in entry and _fits(entry, name))]
            if not meant or (entry not in needed and tried.issuperset(meant)):
                result.append(entry)
        return sorted(result)


def _fits(pattern: str, mutant_id: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), mutant_id) is not None


def read_allowlist(path: Path) -> Allowlist:
    """The file at `path`; empty when there is none. Raises `InvalidInputError` for anything but the two mappings."""
    if not path.is_file():
        return Allowlist()
    documents = load_documents(path.read_text("utf-8"), str(path))
    if not documents or documents[0].value is None:
        return Allowlist()
    value = documents[0].value
    if len(documents) > 1 or not isinstance(value, dict) or set(value) - {ALLOW, SKIP}:
        raise InvalidInputError(f"{path}: expected the mappings {ALLOW} (mutant id: reason) and {SKIP} (file: reason)")
    return Allowlist(_reasons(path, documents[0], ALLOW), _reasons(path, documents[0], SKIP))


def _reasons(path: Path, document: Document, key: str) -> dict[str, str]:
    entries: Any = document.value.get(key) or {}
    if not isinstance(entries, dict):
        raise InvalidInputError(f"{path}: {key}: expected a mapping to reasons")
    for entry, reason in entries.items():
        if not isinstance(reason, str) or len(reason.strip()) < MIN_REASON:
            raise InvalidInputError(f"{document.place_of((key, entry))}: say in a sentence why: {entry}")
    return entries
