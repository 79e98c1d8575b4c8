"""Survivors that are explained: `mutation_allow.yaml` in the policy directory, one reason for each mutant id."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from executor.errors import InvalidInputError
from harness.strict_yaml import load_documents

FILE_NAME: Final = "mutation_allow.yaml"
KEY: Final = "mutation_allow"
MIN_REASON: Final = 15
"""Characters of a reason; `equivalent` alone explains nothing."""


def read_allowlist(path: Path) -> dict[str, str]:
    """Reason by mutant id; empty when there is no such file. Raises `InvalidInputError` for anything but that."""
    if not path.is_file():
        return {}
    documents = load_documents(path.read_text("utf-8"), str(path))
    if not documents or documents[0].value is None:
        return {}
    value = documents[0].value
    if len(documents) > 1 or not isinstance(value, dict) or set(value) != {KEY}:
        raise InvalidInputError(f"{path}: expected one mapping `{KEY}: {{mutant id: reason}}`")
    reasons = value[KEY] or {}
    if not isinstance(reasons, dict):
        raise InvalidInputError(f"{path}: {KEY}: expected a mapping from mutant id to reason")
    for mutant_id, reason in reasons.items():
        if not isinstance(reason, str) or len(reason.strip()) < MIN_REASON:
            place = documents[0].place_of((KEY, mutant_id))
            raise InvalidInputError(f"{place}: say in a sentence why this mutant cannot be told from the original")
    return reasons


def stale(reasons: Iterable[str], *, existing: Iterable[str], survived: Iterable[str], ran: Iterable[str]) -> list[str]:
    """Entries that explain nothing: of a mutant that is not there any more, or was run and did not survive; sorted."""
    known, alive, tried = set(existing), set(survived), set(ran)
    return sorted(entry for entry in reasons if entry not in known or (entry in tried and entry not in alive))
