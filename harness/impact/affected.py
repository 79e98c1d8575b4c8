"""Which scenarios a change of policies can touch at all: those with a decision that comes out otherwise.

Policies act through decisions, and every decision of a run is on record with what it was asked. So after one run by the
old policies, only what was decided has to be asked of the new ones, and only scenarios with another answer run again.
Three data files are read by the executor itself; a change of those touches every scenario.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from executor import violations
from executor.sentinel import patterns
from executor.svf.read import read
from harness.conform.corpus import Corpus
from harness.conform.what_if import Side
from harness.impact.hunks import Hunk
from harness.replay.bulk import BulkDecider
from harness.replay.records import DECIDED
from harness.replay.tally import compare

READ_BY_EXECUTOR: Final = frozenset(
    path.as_posix() for path in (patterns.DATA_FILE, patterns.WAIVERS_FILE, violations.DATA_FILE)
)
BATCH: Final = 200


def touched(corpus: Corpus, before: dict[str, Side], found: Sequence[Hunk], trail: Path, changed: Path) -> Corpus:
    """The part of `corpus` to run again by `changed`; `before` and `trail` are of the run by the old policies."""
    if any(hunk.path in READ_BY_EXECUTOR for hunk in found):
        return corpus
    other = frozenset(_differing(trail, changed))
    if other - frozenset[str]().union(*(side.intents for side in before.values())):
        return corpus  # something was decided that no scenario has asked itself: nobody knows what hangs on it
    groups = tuple(
        group
        for group in corpus.groups
        if any(one.id in before and before[one.id].intents & other for one in group.scenarios)
    )
    return Corpus(groups, corpus.others)


def _differing(trail: Path, changed: Path) -> Iterator[str]:
    """The intents with a decision that `changed` would take otherwise, or that cannot be asked again."""
    with BulkDecider(changed) as decider:
        rows = _decided(trail)
        while batch := list(islice(rows, BATCH)):
            asked = [one for one in batch if one[1] is not None]
            yield from (intent for intent, document, _ in batch if document is None)
            answers = decider.answers([document for _, document, _ in asked if document is not None])
            for (intent, _, before), after in zip(asked, answers, strict=True):
                if compare(before, after) is not None:
                    yield intent


def _decided(trail: Path) -> Iterator[tuple[str, dict[str, Any] | None, dict[str, Any]]]:
    """Intent, what was asked (None where it is not on record, or had no decision), and the answer."""
    for event in read(trail):
        if event.type == DECIDED:
            document, decision = event.data.get("input"), event.data["decision"]
            whole = isinstance(document, dict) and "intent" in document and decision.get("verdict") != "malformed"
            yield event.intent_id, document if whole else None, decision
