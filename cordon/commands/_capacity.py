"""`cordon simulate FILE` and `cordon simulate sweep FILE`: a load in virtual time, and sizes tried on it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cordon.terminal import now_and_then, one_line, print_json, progress, table
from executor.errors import InvalidInputError

BUILD: Final = Path("build/simulate")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("what", nargs="*", metavar="[sweep] FILE", help="a load file; after the word sweep: try several sizes")
    add("--out", type=Path, metavar="DIR", help=f"where tables and plots go ({BUILD}/<id>)")
    add("--seed", type=int, metavar="N", help="in place of the file's")
    add("--tasks", type=int, metavar="N", help="arrivals, in place of the file's")
    for knob in ("pool", "workers", "hosts", "queue"):
        add(f"--{knob}", metavar="N|A..B", help=f"{knob} in place of the file's; A..B for a sweep")
    add("--jobs", type=int, metavar="N", help="points of a sweep side by side (one for each core)")
    add("--fresh", action="store_true", help="begin a sweep anew instead of going on with what an earlier one left")
    add("--json", action="store_true", help="the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Run it; 1 when a target is missed."""
    sweeping = args.what[:1] == ["sweep"] and len(args.what) == 2
    if not sweeping and len(args.what) != 1:
        raise InvalidInputError("name one load file, or the word sweep and one load file; see --help")
    if args.jobs is not None and args.jobs < 1:
        raise InvalidInputError("--jobs: at least 1")
    from harness.simulate.load_file import parse_file  # noqa: PLC0415 - --help is quick without

    load = parse_file(Path(args.what[-1]))
    if args.seed is not None:
        load = replace(load, seed=args.seed)
    if args.tasks is not None:
        if args.tasks < 1:
            raise InvalidInputError("--tasks: at least 1")
        load = replace(load, tasks=args.tasks)
    load = _sized(load, args, sweeping=sweeping)
    folder = args.out or BUILD / load.id
    return _sweep(load, folder, args) if sweeping else _once(load, folder, args)


def _sized(load: Any, args: argparse.Namespace, *, sweeping: bool) -> Any:
    """`load` with the sizes of the command line: one value sets it, `A..B` sweeps it."""
    from harness.simulate.load import KNOBS  # noqa: PLC0415 - see run()
    from harness.simulate.load_file import VALUES, spread  # noqa: PLC0415 - see run()

    axes = dict(load.sweep)
    for knob in KNOBS:
        given = getattr(args, knob)
        if given is None:
            continue
        low, high = VALUES[knob]
        first, dots, last = given.partition("..")
        values = spread(given) if dots and first.isdecimal() and last.isdecimal() else ()
        if not dots and given.isdecimal():
            values = (int(given),)
        if not values or not low <= values[0] <= values[-1] <= high:
            raise InvalidInputError(f"--{knob}: {one_line(given)[:20]} is no number and no A..B of {low} to {high}")
        if dots and not sweeping:
            raise InvalidInputError(f"--{knob} {given}: several sizes are for `cordon simulate sweep FILE`")
        axes.pop(knob, None)
        if dots:
            axes[knob] = values
        else:
            load = load.turned(knob, values[0])
    return replace(load, sweep=tuple(axes.items()))


def _once(load: Any, folder: Path, args: argparse.Namespace) -> int:
    from harness.simulate.output import writable, write_run  # noqa: PLC0415 - see run()
    from harness.simulate.run import missed, simulate  # noqa: PLC0415 - see run()

    writable(folder)
    with progress("simulate") as step:
        say = now_and_then(step)
        found, measures = simulate(load, lambda arrived, now: say(f"{arrived} tasks, {now:.0f} simulated seconds"))
        written = write_run(folder, load, found, measures)
    wrong = missed(found, load.targets)
    if args.json:
        print_json({**found, "missed": wrong})
    else:
        _show(found)
        _say(f"tables and plots: {written[0].parent}")
        for line in wrong:
            _say(f"target missed: {line}")
    return 1 if wrong else 0


def _sweep(load: Any, folder: Path, args: argparse.Namespace) -> int:
    from harness.jobs import default_jobs  # noqa: PLC0415 - see run()
    from harness.simulate.output import write_sweep  # noqa: PLC0415 - see run()
    from harness.simulate.sweep import POINTS, run_sweep, settings  # noqa: PLC0415 - see run()

    if not load.sweep:
        raise InvalidInputError("nothing to sweep: name sizes, for example --pool 1..8, or `sweep` in the file")
    if args.fresh:
        (folder / POINTS).unlink(missing_ok=True)
    done = 0
    try:
        with progress("sweep") as step:

            def tell(number: int, total: int, name: str) -> None:
                nonlocal done
                done = number
                step(f"{number} of {total} points: {name}")

            sweep = run_sweep(load, folder, jobs=args.jobs or default_jobs(), progress=tell)
            written = write_sweep(folder, load, sweep)
    except KeyboardInterrupt:
        sys.stderr.write(f"sweep: {done} of {len(settings(load))} points are kept in {folder}; run it again to go on\n")
        raise
    best = sweep.recommended
    if args.json:
        print_json({"recommended": dict(best.setting) if best else None, "reused": sweep.reused,
                    "points": [{"setting": dict(point.setting), "missed": list(point.missed),
                                "figures": point.figures} for point in sweep.points]})  # fmt: skip
    else:
        _show_sweep(load, sweep)
        _say(f"tables and plots: {written[0].parent}")
    return 0 if best else 1


def _show(found: dict[str, Any]) -> None:
    """The figures as tables."""
    tasks = found["tasks"]
    ends = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in tasks.items() if count)
    _say(f"{found['id']}: {found['simulated_s']:.0f} s simulated, seed {found['seed']}: {ends}")
    seen = [(name, spread) for name, spread in found["wait_s"].items() if spread["n"]]
    columns = ("mean", "p50", "p95", "p99", "max")
    rows = [(name, spread["n"], *(f"{spread[column]:.3f}" for column in columns)) for name, spread in seen]
    table(("wait in s", "tasks", *columns), rows)
    requesters = [
        (
            name,
            party["arrived"],
            party["completed"],
            party["refused"],
            party["denied"],
            f"{party['wait_s']['p95']:.3f}",
            party["naps"]["n"],
            f"{party['naps']['total_s']:.0f}",
        )
        for name, party in found["requesters"].items()
    ]
    table(("requester", "arrived", "completed", "503", "denied", "wait p95", "naps", "nap s"), requesters)
    pool, queue = found["pool"], found["queue"]
    _say(f"refused with 503: {found['refused_share']:.2%}{_codes(found['refused'])}")
    _say(f"denied: {found['denied_share']:.2%}{_codes(found['denied'])}")
    _say(f"pool: {pool['misses']} misses of {pool['hits'] + pool['misses']} machines ({pool['miss_share']:.2%})")
    _say(f"queue: {queue['mean']:.1f} on average, {queue['longest']} at most; workers busy {found['utilisation']:.1%}")
    for stop in found["scrams"]:
        parts = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in stop.items() if name != "at_s")
        _say(f"scram at {stop['at_s']:g} s: {parts}")


def _show_sweep(load: Any, sweep: Any) -> None:
    """One line for each point, then the recommendation."""
    knobs = [knob for knob, _ in load.sweep]
    rows = []
    for point in sweep.points:
        found = point.figures
        waits = found["wait_s"]["all"]
        rows.append(
            (
                *(value for _, value in point.setting),
                f"{waits['mean']:.3f}",
                f"{waits['p95']:.3f}",
                f"{found['refused_share']:.2%}",
                f"{found['pool']['miss_share']:.2%}",
                f"{found['utilisation']:.1%}",
                "; ".join(point.missed) or "meets the targets",
            )
        )
    table((*knobs, "wait mean", "p95", "503", "misses", "busy", ""), rows)
    if sweep.reused:
        _say(f"{sweep.reused} points were there already")
    best = sweep.recommended
    _say(f"recommended: {best.name}, the least that meets the targets" if best else "no size here meets the targets")


def _codes(codes: dict[str, int]) -> str:
    return f" ({', '.join(f'{one_line(code)} {count}' for code, count in codes.items())})" if codes else ""


def _say(line: str) -> None:
    sys.stdout.write(f"{one_line(line)}\n")
