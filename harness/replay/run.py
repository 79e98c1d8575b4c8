"""The replay: batches read in order, decided beside each other, counted in order; memory does not grow with the log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from executor.errors import InvalidInputError
from harness.replay.bulk import Answer, BulkDecider, check_shape, is_brief
from harness.replay.memo import Memo
from harness.replay.records import Intake, Row, read_rows
from harness.replay.tally import SECTIONS, Tally, compare

BATCH: Final = 500
"""Rows in one question to OPA: large enough that its overhead vanishes, small enough (2 MB) to hold several."""
AHEAD: Final = 2
"""Batches read ahead for each OPA."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The outcome."""

    tally: Tally
    intake: Intake
    digest: str
    """Of the policies asked."""
    baseline_digest: str
    """Of the policies compared with; empty when that was the recording."""
    seconds: float


class _Pair:
    """What one worker asks: the policies under test, and the baseline when the recording is not it."""

    def __init__(self, stack: ExitStack, against: Path, baseline: Path | None, memos: tuple[Memo, Memo]) -> None:
        self.against = stack.enter_context(BulkDecider(against, memo=memos[0]))
        self.baseline = stack.enter_context(BulkDecider(baseline, memo=memos[1])) if baseline else None


def replay(
    names: Sequence[str],
    against: Path,
    *,
    baseline: Path | None = None,
    jobs: int,
    changes: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Replay:
    """Ask `against` everything recorded in `names`; compare with the recording, or with `baseline` if given.

    Verdicts and reasons are compared always, what is owed and granted only where something is allowed, since of a
    denial nothing else is carried out. With `changes` everything is compared of every decision, at twice the cost.
    """
    begin = time.monotonic()
    intake, tally = Intake(), Tally()
    with ExitStack() as stack:
        memos = Memo(), Memo()
        pairs = [_Pair(stack, against, baseline, memos) for _ in range(jobs)]
        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        for rows, answers in _decided(read_rows(names, intake), pairs, pool, brief=not changes):
            for row, (before, after) in zip(rows, answers, strict=True):
                tally.add(row, before, after)
            if progress is not None:
                progress(tally.rows)
        first = pairs[0]
        digests = first.against.digest, first.baseline.digest if first.baseline else ""
    return Replay(tally, intake, *digests, time.monotonic() - begin)


_Answered = list[tuple[Answer, Answer]]


def _decided(
    rows: Iterable[Row], pairs: Sequence[_Pair], pool: ThreadPoolExecutor, *, brief: bool
) -> Iterator[tuple[list[Row], _Answered]]:
    """Batches with their answers, in the order of the log; at most `AHEAD` wait for each worker."""
    free: SimpleQueue[_Pair] = SimpleQueue()
    for pair in pairs:
        free.put(pair)

    def decide(batch: list[Row]) -> _Answered:
        pair = free.get()
        try:
            return _ask(pair, batch, brief=brief)
        finally:
            free.put(pair)

    waiting: deque[tuple[list[Row], Future[_Answered]]] = deque()
    source = iter(rows)
    try:
        while batch := list(islice(source, BATCH)):
            waiting.append((batch, pool.submit(decide, batch)))
            if len(waiting) >= AHEAD * len(pairs):
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _ask(pair: _Pair, batch: list[Row], *, brief: bool) -> _Answered:
    inputs = [row.input for row in batch]
    before = pair.baseline.answers(inputs, brief=brief) if pair.baseline else [_recorded(row) for row in batch]
    after = pair.against.answers(inputs, brief=brief)
    differing = [number for number in range(len(batch)) if compare(before[number], after[number])]
    if brief and differing:  # what is reported is looked at whole
        whole = pair.against.answers([inputs[number] for number in differing])
        for number, answer in zip(differing, whole, strict=True):
            after[number] = answer
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        # What equals a whole decision that was taken is shaped like one; the rest has to be checked.
        known = compare(old, new) is None and old.keys() >= set(SECTIONS)
        if not known and not is_brief(new) and new.get("verdict") != "malformed":
            after[number] = check_shape(new)
    return list(zip(before, after, strict=True))


def _recorded(row: Row) -> Answer:
    if row.decision is None:
        raise InvalidInputError(f"{row.where}: only an input is recorded here; name what to compare with: --baseline")
    return row.decision
