"""`cordon report`: the report of the last drills once more, its attestation checked, or a day's overview."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cordon.terminal import print_json
from executor.clock import SystemClock
from executor.dsse import EnvelopeRefusedError
from executor.errors import InvalidInputError
from executor.paths import state_dir
from executor.policy import default_policies_dir
from executor.reporting import daily
from harness.drills import finish
from harness.report import attest, build, merge, trend
from harness.report.faults import faults

HELP: Final = "make the report of the last drills, merge shards, check its attestation, or write a day's overview"
BUILD: Final = Path("build/drills")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "action", nargs="?", choices=["make", "merge", "verify", "daily"], default="make", help="what to do (make)"
    )
    parser.add_argument(
        "file",
        nargs="*",
        help="merge: each shard's folder; verify: the attestation; daily: the day, YYYY-MM-DD (today)",
    )
    build.configure(parser)
    parser.add_argument("--trust", type=Path, help="verify: trust file (the one beside the attestation)")
    parser.add_argument("--summary", type=Path, help="verify: the summary.json it must be about (the one beside it)")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.epilog = """\
examples:
  cordon report
  cordon report --results downloaded/allure-results --output /tmp/report
  cordon report verify build/drills/attestation.json --trust /etc/cordon/trust_keys.json
  cordon report merge shard-1 shard-2 shard-3 shard-4
  cordon report daily 2026-01-31

exit status: 0 good, 1 the attestation does not hold, 2 wrong use"""


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    if args.action == "merge":
        return _merge(args)
    if len(args.file) > 1:
        raise InvalidInputError(f"cordon report {args.action} takes one argument: {' '.join(args.file)}")
    args.file = args.file[0] if args.file else None
    if args.action == "verify":
        return _verify(args)
    if args.action == "daily":
        return _daily(args)
    if args.file:
        raise InvalidInputError(f"cordon report make takes no file: {args.file}")
    index = build.generate(args.results, args.output, history=args.history).absolute()
    if args.json:
        print_json({"report": str(index), "bytes": index.stat().st_size})
    else:
        sys.stdout.write(f"{index.as_uri()}\n")
    return 0


def _merge(args: argparse.Namespace) -> int:
    if not args.file:
        raise InvalidInputError("cordon report merge needs the folder of each shard")
    folders = [Path(name) for name in args.file]
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise InvalidInputError(f"there is no folder {', '.join(missing)}")
    whole = merge.merge(folders, BUILD, default_policies_dir())
    trend.write(BUILD / trend.FILE, [*trend.read(BUILD / trend.FILE), trend.line_of(whole, SystemClock())])
    problems = [*faults(whole), *finish.reported(BUILD), *finish.attested(BUILD)]
    failed = whole["scenarios"]["total"] - whole["scenarios"]["passed"] - whole["scenarios"]["unmeasured"]
    problems += [f"{failed} scenario(s) failed"] if failed else []
    if args.json:
        print_json({"summary": str(BUILD / merge.SUMMARY), "problems": problems})
    for problem in problems:
        sys.stderr.write(f"report: {problem}\n")
    return 1 if problems else 0


def _verify(args: argparse.Namespace) -> int:
    file = Path(args.file) if args.file else BUILD / "attestation.json"
    if not file.is_file():
        raise InvalidInputError(f"there is no attestation {file}; `tox -e drills` makes one in {BUILD}")
    trust = args.trust or file.with_name("trust_keys.json")
    beside = file.with_name("summary.json")
    summary = args.summary or (beside if beside.exists() else None)
    keys = attest.trusted_from(trust)
    try:
        statement = attest.verify_file(file, keys, summary=summary)
    except EnvelopeRefusedError as refused:
        if not args.json:
            raise
        print_json({"holds": False, "message": str(refused)})
        return 1
    if args.json:
        print_json({"holds": True, **asdict(statement)})
        return 0
    changed = " with uncommitted changes" if statement.modified else ""
    about = f"about {summary}" if summary else "summary.json is not at hand: not compared"
    sys.stdout.write(
        f"holds: signed by {statement.kid} at {statement.made_at}, {about}\n"
        f"commit {statement.commit}{changed}, engine {statement.engine}\n"
        + "".join(f"{name} {digest}\n" for name, digest in sorted(statement.digests.items()))
    )
    return 0


def _daily(args: argparse.Namespace) -> int:
    text = args.file or datetime.now(UTC).strftime("%Y-%m-%d")
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise InvalidInputError(f"a day is written YYYY-MM-DD, not {text!r}") from None
    state = state_dir()
    paths = daily.write(state / "logs" / "svf_audit", state / "outgoing" / "daily", day)
    if args.json:
        print_json({name: str(path) for name, path in paths.items()})
    else:
        sys.stdout.write("".join(f"{path}\n" for path in paths.values()))
    return 0
