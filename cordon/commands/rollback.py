"""`cordon rollback`: look at what a run changed, check its pack, put the files back and prove it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from cordon.terminal import one_line, print_json, progress, table
from executor.clock import SystemClock
from executor.paths import state_dir
from executor.rollback.manifest import DamagedPackError
from executor.rollback.pack import Pack, load, verify
from executor.rollback.runs import apply_recorded, find, on_record

HELP: Final = "show, check and apply the rollback pack of a run"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their arguments."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    texts = {
        "show": "what the run may change, and what it did change",
        "verify": "check every byte of the pack, and its digest against the audit trail",
        "apply": "put the files back below a folder and prove it by digest; resumes after an interruption",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("run", metavar="RUN|LEASE_ID", help="a lease id, or the folder of a run")
        command.add_argument("--json", action="store_true", help="for programs")
        command.add_argument("--state", type=Path, default=None, metavar="DIR", help="state folder (default: yours)")
        if name != "show":
            command.add_argument("--digest", default="", metavar="SHA256", help="digest the pack must have")
        if name == "apply":
            command.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder that was /workspace")
            command.add_argument("--force", action="store_true", help="also over files changed since the run")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = """\
Exit 0: done and proven; 1: damaged, in conflict, or not to be written; 2: wrong use.

examples:
  cordon rollback show lease-3f2a
  cordon rollback verify lease-3f2a --json
  cordon rollback apply lease-3f2a --to ./workspace"""


def run(args: argparse.Namespace) -> int:
    """Do it; 0 when it was good."""
    found = find(args.run, args.state or state_dir())
    if args.action == "show":
        pack = load(found.folder)
        _say(args, pack.to_json(), lambda: _show(pack))
    elif args.action == "verify":
        known = args.digest or on_record(found)
        try:
            pack = verify(found.folder, expected=known)
        except DamagedPackError as damage:
            if not args.json:
                raise
            print_json({"whole": False, "message": str(damage)})
            return 1
        told = "its digest is the one on record" if known else "no audit trail knows its digest"
        _say(args, {**pack.event_data(), "whole": True, "on_record": bool(known)},
             lambda: _line(f"whole: sha256:{pack.digest}, {len(pack.before)} files; {told}"))  # fmt: skip
    else:
        with progress("rollback") as step:
            proof = apply_recorded(found, args.to, SystemClock(), expected=args.digest, force=args.force, step=step)
        counts = f"{len(proof.restored)} restored, {len(proof.removed)} removed, {len(proof.untouched)} untouched"
        _say(args, proof.to_json(), lambda: _line(f"as before, proven by digest sha256:{proof.tree}: {counts}"))
    return 0


def _say(args: argparse.Namespace, value: dict[str, Any], words: Any) -> None:
    if args.json:
        print_json(value)
    else:
        words()


def _line(text: str) -> None:
    sys.stdout.write(one_line(text) + "\n")


def _show(pack: Pack) -> None:
    _line(f"pack sha256:{pack.digest}, {len(pack.before)} files before the run")
    _line(f"may change: {', '.join(pack.may_change) or 'nothing'}")
    if pack.after is None:
        _line("the run's end was not recorded: what it changed is not known")
    elif not pack.changes:
        _line("no changes")
    else:
        rows = [(change.path, change.kind, "yes" if change.expected else "NO") for change in pack.changes]
        table(("path", "change", "expected"), rows)
