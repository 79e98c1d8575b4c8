"""`cordon decide`: one request, the decision, and why."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from cordon.terminal import one_line, print_json
from executor.clock import SystemClock
from executor.errors import InvalidInputError
from executor.policy import PolicyEngine, default_policies_dir, find_opa
from harness.policydir import OpaTool, materialize
from harness.reasons import tree
from harness.reasons.ask import MAX_BYTES, question, read_request
from harness.reasons.checks import read_catalogue

HELP: Final = "decide one request and explain it: grants, every check, the rule that decided, obligations"
NS: Final = 1_000_000_000
NOBODY: Final = "nobody"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("request", nargs="*", metavar="FILE | -- PROGRAM ARG", help="a request, or the command that is asked for")
    add("--policies", default="", metavar="DIR|git:REV", help="the policies to ask (the checkout's)")
    add("--requester", metavar="ACTOR", help="who asks; says that the request is given by flags")
    add("--persona", metavar="ROLE", help="with --requester: the role claimed")
    add("--phase", choices=("staging", "production"), help="with --requester (staging)")
    add("--cap", action="append", default=[], metavar="TOKEN", help="with --requester: a capability (base:execute)")
    add("--cwd", metavar="DIR", help="with --requester: working directory (/workspace)")
    add("--approve", action="append", metavar="NAME", help=f"assume that NAME approved (cp14); {NOBODY}: no one did")
    add("--json", action="store_true", help="everything as JSON")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = """\
FILE is JSON or YAML and holds an intent, a scenario's `intent`, or a whole policy input; `-` reads standard input;
LOG:LINE takes the input recorded there. What an intent does not say (reviews, signatures, budget, host) is assumed and
listed. Exit 0: allowed; 1: denied; 2: wrong use.

examples:
  cordon decide request.yaml
  cordon decide --requester cbo --cap base:execute --cap dev:python -- python3 x.py
  cordon decide audit.jsonl:17 --policies git:HEAD~1"""


def run(args: argparse.Namespace) -> int:
    """Run it; 1 when the request is denied."""
    approvals = ["cp14"] if args.approve is None else [name for name in args.approve if name != NOBODY]
    asked = question(_request(args), approvals, now_s=SystemClock().now_ns() // NS)
    if args.approve is not None and not asked.assumed:
        raise InvalidInputError("--approve goes with an intent; a whole policy input says itself who approved")
    with tempfile.TemporaryDirectory(prefix="cordon-decide-") as scratch:
        policies = materialize(args.policies, Path(scratch)) if args.policies else default_policies_dir()
        opa = find_opa()
        with PolicyEngine(policies, opa=opa) as engine:
            decision = engine.decide_document(asked.document)
        catalogue = read_catalogue(policies, OpaTool(opa))
    explained = tree.Explained(decision, catalogue, asked.document, asked.assumed)
    if args.json:
        print_json(tree.as_json(explained))
    else:
        sys.stdout.writelines(f"{one_line(line)}\n" for line in tree.text(explained))
    return 0 if decision.allowed else 1


def _request(args: argparse.Namespace) -> Any:
    words: list[str] = args.request
    if args.requester is None:
        if len(words) != 1:
            raise InvalidInputError("name one request file, or give --requester and the command after --")
        for flag in ("persona", "phase", "cap", "cwd"):
            if getattr(args, flag):
                raise InvalidInputError(f"--{flag} goes with --requester; a request file says it itself")
        return read_request(words[0], sys.stdin.read(MAX_BYTES) if words[0] == "-" else "")
    if not words:
        raise InvalidInputError("with --requester, give the command after --, for example: -- echo hello")
    return {
        "intent_id": "decide",
        "requester": args.requester,
        "persona": args.persona or "",
        "phase": args.phase or "staging",
        "capabilities": args.cap or ["base:execute"],
        "commands": [{"argv": words, "cwd": args.cwd or "/workspace"}],
    }
