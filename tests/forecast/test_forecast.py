"""The resource forecast: each rule, its bounds, and where its figures come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from executor import forecast as module
from executor.canonical import dumps
from executor.forecast import (
    FEW,
    Factor,
    Forecast,
    History,
    PastRun,
    Usage,
    brought_by,
    command_of,
    forecast,
    foreseen,
    percentile_95,
)
from executor.intent import Artefact, Command, FileIn, Intent, Limits
from executor.outcome import CommandResult, Outcome
from executor.reporting import publish

INTENT = Intent(
    "i", "cbo", (Command(("/usr/bin/gcc", "x.c")),), limits=Limits(mem_quota_mb=256, wallclock_timeout_s=30)
)
ASKED = Usage(256, 30_000, 30_000)


def runs(count: int, requester: str = "cbo", *, top: int = 0, bad: bool = False) -> list[PastRun]:
    """`count` runs of gcc using 1, 2, ... MiB (the last `top`, when given)."""
    figures = [*range(1, count + 1)] if not top else [*range(1, count), top]
    return [PastRun(requester, "gcc", Usage(figure, figure * 10, figure * 20), bad) for figure in figures]


def rules(made: Forecast) -> set[str]:
    return {factor.name.partition(".")[0] for factor in made.factors}


def test_without_a_past_the_limits_are_the_forecast() -> None:
    """Nothing known: what was asked for, said so by name."""
    made = forecast(INTENT, runs(2))
    assert made.usage == ASKED
    assert made.factors == (
        Factor("asked.memory_mb", "gcc", 0, 256), Factor("asked.cpu_ms", "gcc", 0, 30_000),
        Factor("asked.duration_ms", "gcc", 0, 30_000),
    )  # fmt: skip


def test_few_runs_give_the_highest_and_half_as_much_again() -> None:
    """3 to 19 runs: no percentile is made of them."""
    for count in (3, 19):
        made = forecast(INTENT, runs(count))
        assert rules(made) == {"few"}
        assert made.usage == Usage(-(-count * 3 // 2), count * 15, count * 30)


def test_many_runs_give_the_percentile_and_one_outlier_does_not_move_it() -> None:
    """20 runs: the 19th of them in order; the one at 200 MiB is the five in a hundred."""
    made = forecast(INTENT, runs(20, top=200))
    assert (rules(made), made.usage) == ({"p95"}, Usage(19, 190, 380))


def test_others_runs_count_when_ones_own_are_missing() -> None:
    """Own runs first, then everybody's, each by the same two rules."""
    assert rules(forecast(INTENT, runs(20, "other"))) == {"p95_anyone"}
    assert rules(forecast(INTENT, runs(2) + runs(2, "other"))) == {"few_anyone"}
    assert rules(forecast(INTENT, runs(3) + runs(50, "other"))) == {"few"}


def test_several_commands_add_up() -> None:
    """Memory is the highest, times are sums; each program has its factors once."""
    intent = Intent("i", "cbo", (Command(("gcc",)), Command(("gcc",)), Command(("sh",))))
    past = [*runs(3), *(PastRun("cbo", "sh", Usage(40, 2, 4)) for _ in range(3))]
    made = forecast(intent, past)
    assert made.usage == Usage(60, 45 + 45 + 3, 90 + 90 + 6)
    assert [factor.program for factor in made.factors] == ["gcc"] * 3 + ["sh"] * 3


def test_reaching_the_limit_and_bad_ends_are_factors() -> None:
    """A forecast stops at the limits asked for, and says that it does."""
    made = forecast(INTENT, runs(19, top=1000, bad=True))
    assert made.usage.memory_mb == 256
    assert Factor("at_limit.memory_mb", "", 1, 256) in made.factors
    assert Factor("bad_ends.percent", "gcc", 19, 100) in made.factors


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200))
def test_the_percentile_is_the_smallest_that_covers_95_percent(values: list[int]) -> None:
    """By definition, for any values."""
    found = percentile_95(values)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= 95 * len(values)
    smaller = [value for value in values if value < found]
    assert not smaller or sum(value <= max(smaller) for value in values) * 100 < 95 * len(values)


PAST = st.builds(
    PastRun, st.sampled_from(["cbo", "other"]), st.sampled_from(["gcc", "sh"]),
    st.builds(Usage, *[st.integers(0, 2**40)] * 3), st.booleans(),
)  # fmt: skip


@given(st.lists(PAST, max_size=60))
def test_any_past_gives_a_forecast_within_the_limits(past: list[PastRun]) -> None:
    """Never above what was asked for, never negative, and fit to be recorded."""
    made = forecast(INTENT, past)
    for figure in ("memory_mb", "cpu_ms", "duration_ms"):
        assert 0 <= getattr(made.usage, figure) <= getattr(ASKED, figure)
    assert made.factors
    assert dumps(made.to_json())


def outcome(memory: int, cause: str = "exited", brought: str = "") -> Outcome:
    result = CommandResult(("/bin/gcc", "x"), cause, 0, 0, b"", b"", 5_000_001, 1001, memory)
    return Outcome("i", "tcg", "allow", (), "completed", {}, {"issued_to": "cbo"}, (result,), brought=brought)


def test_the_history_is_the_same_from_memory_and_from_the_reports(tmp_path: Path) -> None:
    """What is remembered while running is read back when the executor starts again; bad folders are left out."""
    kept = History()
    for number in range(3):
        made = outcome(number * 1024 * 1024 + 1, "oom" if number else "exited", "bytes" * number)
        kept.remember("cbo", made)
        publish(tmp_path / f"lease-{number}", made)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/report.json").write_text('{"lease": null}')
    (tmp_path / "stray").write_text("")
    assert sorted(map(repr, module.load(tmp_path))) == sorted(map(repr, kept))
    first = next(iter(kept))
    assert replace(first, command="") == PastRun("cbo", "gcc", Usage(1, 2, 6), bad=False)
    assert len(first.command) == 32
    assert list(module.load(tmp_path / "missing")) == []


def test_the_history_forgets_the_oldest() -> None:
    """Memory is bounded, and the forecast follows change."""
    kept = History(runs(10), kept=4)
    assert (len(kept), [run.usage.memory_mb for run in kept]) == (4, [7, 8, 9, 10])


def test_same_command_again_is_foreseen_to_breach() -> None:
    """Three runs of this very command by this requester that reached a limit: an alert for it, and for nothing else."""
    argv = ("python3", "-c", "grow()")
    limits = Limits(mem_quota_mb=64, wallclock_timeout_s=10)
    known = [PastRun("cbo", "python3", Usage(64, 100, 900), bad=True, command=command_of(argv)) for _ in range(FEW)]
    assert foreseen(argv, "cbo", limits, known) == (("memory", 64 << 20, 64 << 20),)
    assert foreseen(argv, "cbo", limits, known[1:]) == ()
    assert foreseen(argv, "other", limits, known) == ()
    assert foreseen((*argv, "x"), "cbo", limits, known) == ()
    assert foreseen(argv, "cbo", Limits(mem_quota_mb=65, wallclock_timeout_s=10), known) == ()
    late = [PastRun("cbo", "python3", Usage(1, 1, 10_000), bad=True, command=command_of(argv)) for _ in range(FEW)]
    assert foreseen(argv, "cbo", limits, late) == (("wallclock", 10_000, 10_000),)


def test_the_same_words_over_other_bytes_are_another_command() -> None:
    """Three kernels that hung say nothing of a fourth under the same path: a file, a program, a patch changes it."""
    argv = ("/artefact/kernel", "in", "out")
    hung = replace(INTENT, artefacts=(Artefact("kernel", b"for (;;);"),))
    slow = Usage(1, 1, 10_000)
    known = [PastRun("cbo", "kernel", slow, bad=True, command=command_of(argv, brought_by(hung))) for _ in range(FEW)]
    limits = Limits(wallclock_timeout_s=10)
    assert foreseen(argv, "cbo", limits, known, brought=brought_by(hung)) == (("wallclock", 10_000, 10_000),)
    others = [
        INTENT,
        replace(hung, artefacts=(Artefact("kernel", b"return;"),)),
        replace(hung, artefacts=(Artefact("other", b"for (;;);"),)),
        replace(hung, files=(FileIn("/workspace/in", b"1"),)),
        replace(hung, patch="--- a"),
    ]
    assert [foreseen(argv, "cbo", limits, known, brought=brought_by(one)) for one in others] == [()] * len(others)
    assert brought_by(INTENT) == ""
    assert len({brought_by(one) for one in [hung, *others]}) == 6
