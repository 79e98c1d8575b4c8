"""`cordon doctor`: what this host can and cannot do, line by line, with the command that mends it.

Runs with the standard library alone, so that it can be asked before anything is installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from cordon.terminal import one_line, print_json, progress, wants_colour
from executor.host.facts import HostFacts
from executor.host.finding import Finding
from executor.host.findings import drills_can_run, judge
from executor.host.probes import gather

HELP: Final = "explain what this host can and cannot do, with the command that mends it"

_COLOURS: Final = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31m"}
_PLAIN: Final = "\x1b[0m"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="facts and findings as JSON")
    parser.epilog = (
        "ok: works - warn: drills run, with less - fail: drills cannot run\n\n"
        "examples:\n  cordon doctor\n  cordon doctor --json\n\n"
        "exit status: 0 when everything the drills need is there, 1 otherwise"
    )


def run(args: argparse.Namespace) -> int:
    """Look, judge, tell."""
    with progress("looking at this host"):
        facts = gather()
    findings = judge(facts)
    if args.json:
        print_json(as_data(facts, findings))
    else:
        lines = render(findings, colour=wants_colour(sys.stdout))
        sys.stdout.write("\n".join(lines) + "\n")
    return 0 if drills_can_run(findings) else 1


def as_data(facts: HostFacts, findings: Sequence[Finding]) -> dict[str, object]:
    """Facts and findings, JSON-like."""
    plain = asdict(facts)
    return {
        "drills": drills_can_run(findings),
        "findings": [asdict(finding) for finding in findings],
        "facts": plain,
    }


def render(findings: Sequence[Finding], *, colour: bool) -> list[str]:
    """One line per finding, below it what mends it and what works without; a last line with the sum."""
    width = max(len(finding.part) for finding in findings)
    lines = []
    for finding in findings:
        status = f"{finding.status:<4}"
        if colour:
            status = f"{_COLOURS[finding.status]}{status}{_PLAIN}"
        lines.append(f"{status}  {finding.part:<{width}}  {one_line(finding.says)}")
        indent = " " * (width + 8)
        if finding.mend:
            lines.append(f"{indent}mend it: {one_line(finding.mend)}")
        if finding.without:
            lines.append(f"{indent}without: {one_line(finding.without)}")
    fails = [finding.part for finding in findings if finding.status == "fail"]
    warns = sum(finding.status == "warn" for finding in findings)
    if fails:
        lines.append(f"Drills cannot run here yet: {', '.join(fails)}.")
    else:
        lines.append(f"Drills can run here{f', with {warns} limits named above' if warns else ''}.")
    return lines
