"""`cordon simulate --conform` and `--what-if`: the simulator against real machines, and against other policies."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cordon.terminal import now_and_then, one_line, print_json, progress
from executor.errors import InvalidInputError, OutsideError
from harness.collection.shard import Shard
from harness.conform import MODELLED_BAR

if TYPE_CHECKING:
    from executor.service import LocalExecutor
    from fixtures.test_hosts import World
    from harness.conform.run import Report

SCENARIOS: Final = Path("scenarios")
POLICIES: Final = Path("policies")
SHOWN: Final = 40
"""Lines of one kind in the text report; --json has them all."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument_group("the simulator against real machines, and other policies").add_argument
    add(
        "--conform",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="run scenarios on the simulator and on a real VM, compare",
    )
    add("--engine", choices=("auto", "kvm", "tcg"), default="auto", help="the real engine to compare with (auto)")
    add(
        "--recorded",
        type=Path,
        metavar="DIR",
        help="with --conform: compare with what the drills recorded in DIR (build/drills); no machine is started",
    )
    add("--part", type=Shard.parse, metavar="I/N", help="with --recorded: only this part of the scenarios")
    add("--output", type=Path, metavar="FILE", help="with --recorded: write the whole comparison there as JSON")
    add("--generated", type=int, default=0, metavar="N", help="compare N random requests too")
    add("--budget", type=float, default=300.0, metavar="SECONDS", help="for the random requests (300)")
    add(
        "--modelled",
        type=float,
        metavar="PERCENT",
        help=f"with --conform: fail where fewer of the scenarios are modelled ({MODELLED_BAR} of the whole suite,"
        " 0 where paths are named)",
    )
    add("--what-if", metavar="DIR|git:REV", help="run every scenario on the simulator by other policies: what changes?")
    add(
        "--scenarios",
        type=Path,
        action="append",
        metavar="PATH",
        help=f"for --what-if: files or folders ({SCENARIOS}/)",
    )
    add("--format", choices=("text", "markdown"), default="text", help="of --what-if; markdown fits a pull request")


def asked(args: argparse.Namespace) -> bool:
    """Whether one of the two is asked for."""
    return args.conform is not None or args.what_if is not None


def run(args: argparse.Namespace) -> int:
    """Run it; 1 when the engines differ, or a scenario changes."""
    if args.conform is not None and args.what_if is not None:
        raise InvalidInputError("--conform and --what-if are two commands; give one of them")
    if args.conform is None and (args.recorded or args.part or args.output):
        raise InvalidInputError("--recorded, --part and --output belong to --conform")
    if args.recorded:
        return _recorded(args)
    if args.part or args.output:
        raise InvalidInputError("--part and --output belong to --recorded")
    return _conform(args) if args.conform is not None else _what_if(args)


@contextmanager
def opened(
    engine: str, policies: Path, say: Callable[[str], None], state: Path | None = None
) -> Iterator[LocalExecutor]:
    """An executor with keys, state and hosts to reach of its own, all gone afterwards; `state` is kept if given."""
    from executor.service import open_executor  # noqa: PLC0415 - libvirt, not needed for --help
    from fixtures.test_hosts import simulated_world  # noqa: PLC0415 - as above

    with ExitStack() as kept:
        own = state or Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="cordon-simulate-")), "state")
        world = None if engine == "sim" else _world(say, kept)
        executor = open_executor(
            engine,  # type: ignore[arg-type] # argparse has compared it with the engines
            state=own,
            policies=policies,
            progress=say,
            drill=True,
            network=world.config() if world else None,
            beyond=simulated_world() if engine == "sim" else None,
        )
        kept.callback(executor.close)
        if world:
            world.furnish(executor.network)
        yield executor


def _world(say: Callable[[str], None], kept: ExitStack) -> World | None:
    """Hosts that real machines with net:egress may reach; None, and a word why, where there can be none."""
    from fixtures.test_hosts import World  # noqa: PLC0415 - libvirt, not needed for --help

    try:
        world = World()
    except (OutsideError, OSError) as error:
        say(f"no test hosts: {error}; what needs them is not compared")
        return None
    kept.callback(world.close)
    return world


def _recorded(args: argparse.Namespace) -> int:
    """Against the record of the drills: the simulator is all that runs."""
    from harness.conform import corpus, kept, recorded  # noqa: PLC0415 - see `opened`
    from harness.conform.run import Report as Comparison  # noqa: PLC0415 - see `opened`
    from harness.report import records  # noqa: PLC0415 - see `opened`

    if args.generated or args.engine != "auto":
        raise InvalidInputError("--recorded compares with what there is: it goes without --engine and --generated")
    if not (args.recorded / records.FILE).exists():
        raise InvalidInputError(f"no {args.recorded / records.FILE}: run the drills first, or name their folder")
    found = corpus.load(args.conform or [SCENARIOS])
    with ExitStack() as stack, progress("conform") as step:
        simulator = stack.enter_context(opened("sim", POLICIES, step))
        held = recorded.read(args.recorded, str(simulator.facts["digests"]["policy"]))
        report = Comparison(held.engine)
        recorded.compare(report, found, simulator, held, part=args.part, tell=now_and_then(step))
    if args.output:
        kept.write(args.output, kept.to_json(report))
    if nothing := not args.part and not report.compared:
        sys.stderr.write(f"nothing was compared: {args.recorded} holds none of these scenarios\n")
    whole = not args.conform and not args.part and not report.unrecorded
    return 1 if _shown(report, args, whole=whole) or nothing else 0


def _conform(args: argparse.Namespace) -> int:
    from harness.conform import corpus  # noqa: PLC0415 - see `opened`
    from harness.conform import run as comparing  # noqa: PLC0415 - see `opened`

    if args.generated < 0 or args.budget < 0 or not 0 <= (args.modelled or 0) <= 100:
        raise InvalidInputError("--generated and --budget: at least 0; --modelled: 0 to 100 percent")
    found = corpus.load(args.conform or ([SCENARIOS] if not args.generated else []))
    cases = _cases(args.generated, args.seed or 0)
    with ExitStack() as stack, progress("conform") as step:
        tell = now_and_then(step)
        simulator = stack.enter_context(opened("sim", POLICIES, step))
        real = stack.enter_context(opened(args.engine, POLICIES, step))
        report = comparing.Report(real.engine)
        try:
            comparing.conform(report, found, simulator, real, tell)
            comparing.generated(report, cases, simulator, real, budget_s=args.budget, tell=tell)
        except KeyboardInterrupt:
            sys.stderr.writelines(f"so far: {line}\n" for line in as_text(report))
            raise
    return _shown(report, args, whole=not args.conform and not args.generated)


def _shown(report: Report, args: argparse.Namespace, *, whole: bool) -> int:
    """Print `report`; 1 where something differs or, of the `whole` suite, too little is modelled."""
    from harness.conform import kept  # noqa: PLC0415 - see `opened`

    if args.json:
        print_json(kept.to_json(report))
    else:
        sys.stdout.writelines(f"{line}\n" for line in as_text(report))
    bar = args.modelled if args.modelled is not None else MODELLED_BAR if whole else 0
    return 1 if report.wrong or report.modelled_percent < bar else 0


def _cases(count: int, seed: int) -> list[Any]:
    if not count:
        return []
    try:
        from harness.conform import cases  # noqa: PLC0415 - hypothesis is for tests
    except ModuleNotFoundError:
        raise InvalidInputError("--generated needs hypothesis: run it through tox, or install it") from None
    return cases.draw(count, seed)


def as_text(report: Report) -> Iterator[str]:
    """For a person: what differs first."""
    for one in report.wrong[:SHOWN]:
        yield f"{one.state:<11} {one.id}"
        for text in one.why:
            yield f"            {one_line(text)}"
    for one in [one for one in (*report.compared, *report.generated) if one.state == "UNMODELLED"][:SHOWN]:
        yield f"UNMODELLED  {one.id}: {one_line('; '.join(one.why))[:160]}"
    procedures = report.count("PROCEDURE")
    total = len(report.compared) - procedures
    if total:
        yield (
            f"{total} scenarios on sim and {report.engine}: {report.count('EQUAL')} equal,"
            f" {report.count('DIVERGENT')} divergent, {report.count('STALE')} stale,"
            f" {report.count('UNMODELLED')} not modelled,"
            f" {report.count('UNMEASURED')} not measurable on {report.engine}; {report.modelled_percent:.1f} % modelled"
        )
    if report.unrecorded:
        yield f"{report.unrecorded} scenarios are not in the record"
    if procedures:
        yield f"{procedures} procedures left out: they are no single request that two engines could be asked"
    if report.generated or report.left_out:
        divergent = sum(1 for one in report.generated if one.state == "DIVERGENT")
        yield f"{len(report.generated)} generated: {divergent} divergent; {report.left_out} left out for want of time"


def _what_if(args: argparse.Namespace) -> int:
    from harness.conform import corpus, what_if  # noqa: PLC0415 - see `opened`
    from harness.policydir import materialize  # noqa: PLC0415 - see `opened`

    found = corpus.load(args.scenarios or [SCENARIOS])
    with (
        tempfile.TemporaryDirectory(prefix="cordon-what-if-") as scratch,
        progress("what-if") as step,
        ExitStack() as stack,
    ):
        other = materialize(args.what_if, Path(scratch) / "other")
        # Both are opened first, the other one before all: policies that cannot be loaded are told at once.
        after, before = (stack.enter_context(opened("sim", policies, step)) for policies in (other, POLICIES))
        sides = [what_if.by(found, executor, now_and_then(step)) for executor in (before, after)]
    compared = what_if.changes(found, *sides)
    changed = [one for one in compared if one.change == "CHANGED"]
    silent = what_if.not_asked(found, compared)
    if args.json:
        print_json(
            {
                "policies": args.what_if,
                "scenarios": len(compared),
                "changed": len(changed),
                "not_asked": silent,
                "changes": [one.to_json() for one in changed],
            }
        )
    elif args.format == "markdown":
        sys.stdout.write(what_if.markdown(compared, one_line(args.what_if)))
    else:
        for one in changed:
            sys.stdout.write(f"CHANGED  {one.id}: {one_line(one.title)}\n")
            sys.stdout.writelines(f"         {one_line(text)}\n" for text in one.how)
        sys.stdout.write(f"{len(changed)} of {len(compared)} scenarios change with {one_line(args.what_if)}\n")
    if any(silent.values()) and not args.json:
        sys.stdout.write(
            f"\nnot asked: {silent['unmodelled']} the simulator does not model, {silent['procedures']} procedures\n"
        )
    return 1 if changed else 0
