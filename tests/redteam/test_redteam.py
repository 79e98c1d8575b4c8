"""The red team finds what was planted, makes it small, saves it, replays it, and goes on where it stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.clock import ManualClock, SystemClock
from executor.errors import InvalidInputError
from harness.document.scenario import parse_file
from harness.redteam.campaign import Campaign, save
from harness.redteam.rounds import play, round_seed
from harness.redteam.sandbox import Bounds, try_alone
from harness.redteam.target import Find, Target, dump, load
from tests.redteam import planted

BOUNDS = Bounds(seconds=0.5, memory_mb=256)
SMALLEST: dict[str, tuple[Callable[[Any], bool], str]] = {
    "crash": (lambda attack: len(attack) == 3 and attack[0] == 0x7B, "crash"),
    "hang": (lambda attack: attack == ",,", "hang"),
    "bloat": (lambda attack: attack["count"] <= 300, "bloat"),
    "escape": (lambda attack: attack == "a/..", "escape"),
    "die": (lambda attack: attack == "die", "crash"),
    "stuck": (lambda attack: attack == "!", "hang"),
}


def find(target: Target, rounds: int = 10) -> Find:
    """What is found within so many rounds."""
    for number in range(rounds):
        if found := play(target, 1, number, bounds=BOUNDS).find:
            return found
    raise AssertionError(f"nothing found in {rounds} rounds of {target.examples}")


@pytest.mark.parametrize("target", planted.PLANTED, ids=lambda target: target.name)
def test_planted_bugs_are_found_and_made_small(target: Target) -> None:
    """Within ten rounds the planted bug is found, named for what it is, and minimised; the smallest attack shows it."""
    small, kind = SMALLEST[target.name]
    found = find(target)
    assert found.kind == kind, found
    assert small(found.attack), found
    again = try_alone(target, load(dump(found.attack)), BOUNDS)
    assert again is not None
    assert again.kind == kind


def test_a_sound_target_is_not_blamed() -> None:
    """Rounds on a target without a bug find nothing and count every attack."""
    result = play(planted.SOUND, 1, 0, bounds=BOUNDS)
    assert (result.find, result.examples) == (None, planted.SOUND.examples)


def test_the_seed_decides() -> None:
    """The same seed and round make the same attacks, another seed or round makes others."""
    seen: dict[tuple[int, int], Any] = {}
    for key in ((1, 0), (1, 0), (1, 1), (2, 0)):
        found = play(planted.CRASH, *key, bounds=BOUNDS)
        seen.setdefault(key, (found.examples, found.find))
        assert seen[key] == (found.examples, found.find)
    assert len({round_seed(*key) for key in ((1, "a", 0), (1, "a", 1), (2, "a", 0), (1, "b", 0))}) == 4


def test_finds_become_scenarios(tmp_path: Path) -> None:
    """A find is saved as a scenario the harness reads, whose attack is the one that was found."""
    (path,) = save([Find("yaml", "crash", "KeyError in x.py f: 'a\nb\"", ["\ud800", b"\xff\0", {"a": 1}])], tmp_path)
    (drill,) = parse_file(path)
    assert drill.id == path.stem
    raw = json.loads(json.dumps(getattr(drill, "attempt").arguments))  # noqa: B009 - a procedure's
    assert load(raw["attack"]) == ["\ud800", b"\xff\0", {"a": 1}]


def test_a_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The journal holds the rounds played; the next campaign of the seed goes on, another begins anew."""
    journal = tmp_path / "journal.json"
    first = Campaign((planted.SOUND,), 7, SystemClock(), journal, BOUNDS)
    first.run(rounds=2)
    second = Campaign((planted.SOUND,), 7, SystemClock(), journal, BOUNDS)
    assert second.scores["sound"].rounds == 2
    second.run(rounds=1)
    assert (second.scores["sound"].rounds, second.scores["sound"].examples) == (3, 3 * planted.SOUND.examples)
    assert Campaign((planted.SOUND,), 8, SystemClock(), journal, BOUNDS).scores["sound"].rounds == 0
    journal.write_text("{}")
    with pytest.raises(InvalidInputError, match="delete it"):
        Campaign((planted.SOUND,), 7, SystemClock(), journal, BOUNDS)


def test_the_budget_ends_it() -> None:
    """No round begins after the budget is spent."""
    clock = ManualClock(0)
    campaign = Campaign((planted.SOUND,), 1, clock, None, BOUNDS, say=lambda _: clock.advance(1.0))
    campaign.run(seconds=2.5)
    assert campaign.scores["sound"].rounds == 3


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_attacks_survive_being_written_down(attack: Any) -> None:
    """Whatever an attack is made of comes back as it was."""
    assert load(dump(attack)) == attack


def test_ctrl_c_keeps_what_there_is(tmp_path: Path) -> None:
    """Interrupted in the middle, `cordon redteam` ends with 130 and its journal holds whole rounds."""
    journal = tmp_path / "journal.json"
    words = ["redteam", "--target", "canonical", "--budget", "60s", "--seed", "3", "--journal", str(journal)]
    # A shell's background job is born deaf to Ctrl-C, and so are its children: this one listens again.
    code = "import signal, cordon.__main__ as m; signal.signal(signal.SIGINT, signal.default_int_handler); m.run()"
    process = subprocess.Popen([sys.executable, "-c", code, *words, "--out", str(tmp_path / "finds")])
    until = time.monotonic() + 60
    while not journal.exists():
        assert process.poll() is None
        assert time.monotonic() < until
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert json.loads(journal.read_text())["targets"]["canonical"]["rounds"] >= 1
