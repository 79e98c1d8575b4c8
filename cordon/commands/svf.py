"""`cordon svf`: read, check and export the audit trail. Text that came from a guest is escaped wherever it is shown."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, TextIO

from cordon.output import written
from cordon.parser import count
from cordon.terminal import one_line, print_json, table
from executor.clock import SystemClock
from executor.errors import DamagedAuditError, MisuseError
from executor.keys import KeyStore
from executor.paths import state_dir
from executor.svf import TYPES, Event, machine, read, verify

HELP: Final = "show, verify, measure and export the audit trail"
FOLLOW_S: Final = 0.5
"""Seconds between two looks at the trail with `tail --follow`."""
_COLUMNS: Final = (
    "seq", "ts", "type", "actor", "intent_id", "lease_id", "task_id", "vm_id", "engine", "policy_digest", "data",
    "prev", "hash",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would run as a formula."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    tail = actions.add_parser("tail", help="the last events")
    tail.add_argument("-n", type=count, default=20, metavar="COUNT", help="how many (20)")
    tail.add_argument("-f", "--follow", action="store_true", help="go on as events are recorded, until Ctrl-C")
    show = actions.add_parser("show", help="events of one intent, lease, VM, type or number")
    check = actions.add_parser("verify", help="check chain and signed head; the first damage is named")
    check.add_argument("--sealed", action="store_true", help="nothing may stand behind the signed head")
    check.add_argument("--unsigned", action="store_true", help="check the chain without any key")
    coverage = actions.add_parser("coverage", help="order faults, event types and transitions seen")
    coverage.add_argument("--svg", type=Path, metavar="FILE", help="draw the state machines into FILE")
    coverage.add_argument("--full", action="store_true", help="exit 1 unless every type and transition was seen")
    export = actions.add_parser("export", help="write the trail in another format")
    export.add_argument("--format", choices=("json", "jsonl", "csv"), default="jsonl")
    export.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to (standard output)")
    for action in (tail, show, check, coverage, export):
        action.add_argument("--dir", type=Path, help="the trail's folder (the state folder's logs/svf_audit)")
        if action is not export:
            action.add_argument("--json", action="store_true", help="as JSON")
    for action in (tail, show, export):
        for name in ("intent", "lease", "vm"):
            action.add_argument(f"--{name}", default="", metavar="ID", help=f"only this {name}'s events")
        action.add_argument("--type", default="", help="only this type or family, for example exec_event")
    show.add_argument("--seq", type=count, default=0, metavar="NUMBER", help="only this record")
    parser.epilog = (
        "examples:\n  cordon svf tail -n 5\n  cordon svf show --intent intent-1\n  cordon svf verify --sealed\n"
        "  cordon svf coverage --svg machine.svg\n  cordon svf export --format csv -o trail.csv"
    )


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    actions: dict[str, Callable[[argparse.Namespace, Path], int]] = {
        "tail": _tail,
        "show": _show,
        "verify": _verify,
        "coverage": _coverage,
        "export": _export,
    }
    return actions[args.action](args, args.dir or state_dir() / "logs" / "svf_audit")


def chosen(args: argparse.Namespace, events: Iterable[Event]) -> Iterator[Event]:
    """The events the options ask for."""
    families = {name.partition(".")[0] for name in TYPES}
    if args.type and args.type not in families and args.type not in TYPES:
        raise MisuseError(f"no such type or family: {args.type}; families are {', '.join(sorted(families))}")
    for event in events:
        if (
            args.intent in ("", event.intent_id)
            and args.lease in ("", event.lease_id)
            and args.vm in ("", event.vm_id)
            and (not args.type or event.type == args.type or event.type.startswith(f"{args.type}."))
        ):
            yield event


def line_of(event: Event) -> str:
    """One event as one safe line: what a person needs first, then the data."""
    ids = " ".join(value for value in (event.intent_id, event.lease_id, event.task_id, event.vm_id) if value)
    data = json.dumps(event.data, ensure_ascii=False, sort_keys=True) if event.data else ""
    return one_line(f"{event.seq:>7} {event.ts} {event.type:<23} {event.actor:<6} {ids} {data}".rstrip())


def _tail(args: argparse.Namespace, directory: Path) -> int:
    events = deque(chosen(args, read(directory)), maxlen=args.n)
    _print(args, events)
    last = max((event.seq for event in events), default=0)
    while args.follow:
        time.sleep(FOLLOW_S)
        for event in read(directory, after=last):
            last = event.seq
            _print(args, chosen(args, [event]))
        sys.stdout.flush()
    return 0


def _show(args: argparse.Namespace, directory: Path) -> int:
    events = list(chosen(args, read(directory, after=args.seq - 1 if args.seq else 0)))
    if args.seq:
        events = [event for event in events if event.seq == args.seq]
    if args.seq and events and not args.json:
        table(["field", "value"], [(name, _cell(events[0], name)) for name in _COLUMNS])
    else:
        _print(args, events)
    if not events:
        sys.stderr.write("cordon svf show: no event is like that\n")
    return 0 if events else 1


def _verify(args: argparse.Namespace, directory: Path) -> int:
    keys = None if args.unsigned else KeyStore(state_dir(), SystemClock()).ring().issuer_keys()
    try:
        summary = verify(directory, keys, sealed=args.sealed)
    except DamagedAuditError as damage:
        if args.json:
            print_json({"sound": False, "kind": damage.kind, "seq": damage.seq, "message": str(damage)})
        else:
            sys.stdout.write(f"damaged: {damage.kind} at record {damage.seq}: {one_line(str(damage))}\n")
        return 1
    if args.json:
        print_json({"sound": True, **summary.to_json()})
    else:
        unsigned = summary.records - summary.signed_records
        behind = f", {unsigned} of them not signed for yet" if unsigned else ""
        signer = f"signed with key {summary.kid}" if keys is not None else "signatures not checked"
        sys.stdout.write(f"sound: {summary.records} records in {summary.files} files, {signer}{behind}\n")
    return 0


def _coverage(args: argparse.Namespace, directory: Path) -> int:
    events = list(read(directory))
    faults = machine.check_trace(events)
    covered = machine.suite_coverage(events)
    if args.svg:
        with written(args.svg) as stream:
            stream.write(machine.svg(covered))
    if args.json:
        print_json({**covered.to_json(), "faults": [str(fault) for fault in faults]})
    else:
        sys.stdout.write(
            f"types {covered.types_covered} of {covered.types_total}, "
            f"transitions {covered.transitions_covered} of {covered.transitions_total}, order faults {len(faults)}\n"
        )
        for fault in faults:
            sys.stdout.write(f"  fault: {one_line(str(fault))}\n")
        for step in covered.unvisited:
            sys.stdout.write(f"  unvisited: {step}\n")
    complete = not covered.unvisited and not covered.unseen
    return 1 if faults or (args.full and not complete) else 0


def _export(args: argparse.Namespace, directory: Path) -> int:
    events = chosen(args, read(directory))
    if args.output is None:
        write_export(args.format, events, sys.stdout)
    else:
        with written(args.output) as stream:
            write_export(args.format, events, stream)
    return 0


def write_export(form: str, events: Iterable[Event], stream: TextIO) -> None:
    """The events as json, jsonl or csv. JSON is ASCII, so that it is safe on a terminal too."""
    if form == "csv":
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        for event in events:
            cells = (_cell(event, name) for name in _COLUMNS)
            writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
        return
    before, between, after = ("[\n", ",\n", "\n]\n") if form == "json" else ("", "", "")
    end = "" if form == "json" else "\n"
    stream.write(before)
    for number, event in enumerate(events):
        stream.write((between if number else "") + json.dumps(event.to_json(), sort_keys=True) + end)
    stream.write(after)


def _cell(event: Event, name: str) -> str:
    value = getattr(event, name)
    return json.dumps(value, sort_keys=True) if name == "data" else one_line(str(value))


def _print(args: argparse.Namespace, events: Iterable[Event]) -> None:
    if args.json:
        for event in events:
            sys.stdout.write(json.dumps(event.to_json(), sort_keys=True) + "\n")
    else:
        for event in events:
            sys.stdout.write(line_of(event) + "\n")
