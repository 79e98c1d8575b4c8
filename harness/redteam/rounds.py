"""Rounds: a target attacked so many times from a seed, by Hypothesis, and the smallest attack that gets through.

Round k of a seed is the same attacks on every host and in every run; a journal that remembers k is all it takes to go
on. Hypothesis's own database holds what was found, so that the next run tries it first.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from harness.redteam.sandbox import Bounds, Note, Round, bound, in_child, judged, lost_attack, noted, try_alone
from harness.redteam.target import Find, Target

SHRINKS: Final = 200
"""Smaller attacks tried, each in a process of its own, on what kills the process."""


class _FoundError(Exception):
    """Leaves Hypothesis's test: this attack got through."""


def round_seed(seed: int, target: str, number: int) -> int:
    """The seed of round `number`: depends on nothing else."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{target}:{number}".encode()).digest()[:8], "big")


def play(
    target: Target, seed: int, number: int, *, bounds: Bounds, examples: int = 0, database: Path | None = None
) -> Round:
    """Round `number` of `target`; with a find, the smallest attack that shows it."""
    note = Note()
    try:
        if target.slow:
            told = _attacks(target, seed, number, bounds, examples, database, note)
            found = Find(target.name, told["kind"], told["why"], lost_attack(note)) if told["kind"] else None
            return Round(told["examples"], found)
        answer, lost, why = in_child(
            lambda: _attacks(target, seed, number, bounds, examples, database, note), note, bounds
        )
        if lost is None:
            found = Find(target.name, answer["kind"], answer["why"], lost_attack(note)) if answer["kind"] else None
            return Round(answer["examples"], found)
        made, attack = note.read()[0], lost_attack(note)
        return Round(made, _shrunk(target, Find(target.name, lost, why, attack), bounds))
    finally:
        note.close()


def _attacks(
    target: Target, seed: int, number: int, bounds: Bounds, examples: int, database: Path | None, note: Note
) -> dict[str, Any]:
    """In the child: many attacks, minimised by Hypothesis. The last one noted is the smallest that got through."""
    made = 0
    finds: list[Find] = []
    store = DirectoryBasedExampleDatabase(database) if database else None

    with target.opened() as opened:
        if not target.slow:
            bound(bounds)

        @hypothesis.seed(round_seed(seed, target.name, number))
        @settings(
            max_examples=examples or target.examples,
            database=store,
            deadline=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=(Phase.reuse, Phase.generate, Phase.shrink) if store else (Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(target.attacks())
        def attack(value: Any) -> None:
            nonlocal made
            made += 1
            noted(note, made, value)
            found = judged(target, opened, value, bounds)
            if found is not None and (not finds or found.same == finds[0].same):
                finds.append(found)
                raise _FoundError(found.kind)

        with _quiet():
            try:
                attack()
            except Exception:
                # Hypothesis raises what the attack raised, or an error of its own about it (it did not repeat itself,
                # several failed at once): with a find in hand each of them means the same, without one it is a bug.
                if not finds:
                    raise
    if not finds:
        return {"examples": made, "kind": "", "why": ""}
    noted(note, made, finds[-1].attack)
    return {"examples": made, "kind": finds[-1].kind, "why": finds[-1].why}


class _quiet:  # noqa: N801 - reads as a word where it is used
    """Hypothesis prints the example it found; the red team reports it in its own words."""

    def __enter__(self) -> None:
        self._kept = os.dup(2), os.dup(1)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.dup2(null, 1)
        os.close(null)

    def __exit__(self, *_: object) -> None:
        for target, kept in zip((2, 1), self._kept, strict=True):
            os.dup2(kept, target)
            os.close(kept)


def _shrunk(target: Target, find: Find, bounds: Bounds) -> Find | None:
    """The smallest attack that loses the process in the same way; None when it does so never again."""
    again = try_alone(target, find.attack, bounds)
    if again is None:
        return None
    best, tried = again, 0
    progress = True
    while progress and tried < SHRINKS:
        progress = False
        for smaller in _smaller(best.attack):
            tried += 1
            found = try_alone(target, smaller, bounds)
            if found is not None and found.same == best.same:
                best, progress = found, True
                break
            if tried >= SHRINKS:
                break
    return best


def _smaller(attack: Any) -> Iterator[Any]:
    """Attacks that are a little less than `attack`, the boldest cuts first."""
    if isinstance(attack, dict):
        for key, value in attack.items():
            yield from ({**attack, key: less} for less in _smaller(value))
    elif isinstance(attack, list | str | bytes):
        step = len(attack) // 2
        while step:
            for at in range(0, len(attack), step):
                yield _without(attack, at, at + step)
            step //= 2
        if len(attack) == 1:
            yield attack[:0]
        if isinstance(attack, list):
            for at, value in enumerate(attack):
                yield from ([*attack[:at], less, *attack[at + 1 :]] for less in _smaller(value))
    elif isinstance(attack, int) and not isinstance(attack, bool) and attack:
        yield 0
        yield attack // 2


def _without(whole: Any, start: int, stop: int) -> Any:
    """A list, text or bytes without a part of it."""
    return whole[:start] + whole[stop:]


def interruptible(work: Callable[[Callable[[], bool]], None]) -> bool:
    """Do `work` until it ends or somebody presses Ctrl-C; whether it ended by itself.

    `work` is given a question it should ask now and then: an interrupt that some library swallowed still counts.
    """
    pressed: list[int] = []

    def press(number: int, _frame: Any) -> None:
        pressed.append(number)
        if len(pressed) == 1:
            raise KeyboardInterrupt  # a second press must not lose what is being written down

    before = signal.signal(signal.SIGINT, press)
    try:
        work(lambda: bool(pressed))
    except KeyboardInterrupt:
        return False
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if pressed else before)
    return not pressed
