"""What a person asks `cordon decide`: an intent, a policy input, or a line of a log, made into one policy input.

An intent alone cannot be decided: reviews, signatures, budget and host are facts about it. Those that the request does
not give are assumed, and every assumption is told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from executor.errors import InvalidInputError
from executor.intent import Intent
from executor.policy import DecisionRequest, Facts, Review, Signature
from harness.document.strict_yaml import load_documents
from harness.replay.records import Intake, read_rows

REVIEWERS: Final = frozenset({"cp14", "cp18", "human"})
"""Approvers whose approval is a review as well as a signature; others (personas) only sign."""
INPUT_PREFIX: Final = "cordon.input/"
MAX_BYTES: Final = 16 * 1024 * 1024
"""Of a request file: files travel in frames of at most 16 MiB."""
_LOG_LINE: Final = re.compile(r"(.+):([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Question:
    """A policy input, and what in it nobody said."""

    document: dict[str, Any]
    assumed: tuple[str, ...]


def read_request(name: str, stdin: str = "") -> Any:
    """The data in the file `name` (JSON or YAML; `-` takes `stdin`), or the input recorded at `LOG:LINE`."""
    if name == "-":
        return _parse(stdin, "standard input")
    path = Path(name)
    if not path.is_file() and (found := _LOG_LINE.fullmatch(name)) and Path(found[1]).is_file():
        return _recorded(found[1], int(found[2]))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInputError(f"{name}: larger than {MAX_BYTES} bytes")
        return _parse(path.read_text("utf-8"), name)
    except OSError as error:
        raise InvalidInputError(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{name}: not UTF-8 text") from error


def question(raw: Any, approvals: Sequence[str], *, now_s: int) -> Question:
    """The policy input for `raw`: a whole input as it is, an intent with facts assumed from `approvals`.

    An intent may stand alone, or as `intent` beside other fields, as in a scenario.
    """
    if isinstance(raw, Mapping) and str(raw.get("schema", "")).startswith(INPUT_PREFIX):
        return Question(dict(raw), ())
    if isinstance(raw, Mapping) and isinstance(raw.get("input"), Mapping):
        return Question(dict(raw["input"]), ())
    if isinstance(raw, Mapping) and isinstance(raw.get("intent"), Mapping):
        raw = raw["intent"]
    if not isinstance(raw, Mapping):
        raise InvalidInputError("the request is neither an intent nor a policy input: expected a mapping")
    named = dict(raw)
    assumed = [] if "intent_id" in named else ["the intent's id: decide"]
    named.setdefault("intent_id", "decide")
    facts = assumed_facts(approvals)
    document = DecisionRequest(Intent.parse(named), facts).document(now=now_s)
    return Question(document, (*assumed, *_assumptions(facts)))


def assumed_facts(approvals: Sequence[str]) -> Facts:
    """Facts where everyone in `approvals` has approved (reviewers: passed), nothing was found, and the host is idle."""
    reviews = tuple(Review(name, "PASS") for name in approvals if name in REVIEWERS)
    signatures = tuple(Signature(name, name, f"assumed-{name}", valid=True) for name in approvals)
    return replace(Facts(), reviews=reviews, signatures=signatures)


def _assumptions(facts: Facts) -> list[str]:
    reviewers = ", ".join(review.actor for review in facts.reviews)
    signers = ", ".join(signature.role for signature in facts.signatures)
    host = facts.host
    return [
        f"reviews: {f'{reviewers} passed it' if reviewers else 'none'}",
        f"signatures: {f'{signers}, valid' if signers else 'none'}",
        "findings: no secret, no forbidden pattern",
        f"requester: {facts.budget.atp} ATP, {facts.history.violations} violations, holds no lease",
        f"lease: a new one for {facts.lease.ttl_s} s",
        f"host: {host.mem_free_mb} MB memory, {host.disk_free_mb} MB disk free, {host.vms_running}/{host.vms_max} VMs",
    ]


def _parse(text: str, name: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_each_once)
        except ValueError as error:
            raise InvalidInputError(f"{name}: not JSON: {error}") from error
        except RecursionError as error:
            raise InvalidInputError(f"{name}: nested too deep to be a request") from error
    documents = load_documents(text, name)
    if len(documents) != 1:
        raise InvalidInputError(f"{name}: expected one document, found {len(documents)}")
    return documents[0].value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys appear once: readers disagree about which of two counts, and one would be decided."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} appears twice in one object")
        found[key] = value
    return found


def _recorded(log: str, line: int) -> Any:
    intake = Intake()
    wanted = f"{log}:{line}"
    for row in islice(read_rows([log], intake), line):
        if row.where == wanted:
            return row.input
        if intake.lines > line:
            break
    raise InvalidInputError(f"{wanted}: no decision with its input is recorded there")
