"""`cordon oracle`: put a numerical kernel in C++ to the physics oracle, in three machines; check what it signed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from cordon.terminal import one_line, print_json
from executor import canonical, dsse
from executor.errors import InvalidInputError
from executor.keys import Trust
from executor.oracle import physics, statement
from executor.oracle.workflow import Candidate, Examination
from executor.paths import state_dir

HELP: Final = "have a C++ kernel built, run and judged in three machines, and signed for when it holds"

_EPILOG: Final = """\
examples:
  cordon oracle run kernel.cpp --system pendulum --out build/oracle
  cordon oracle verify build/oracle/kernel.dsse.json --program build/oracle/kernel
  cordon oracle systems

The kernel defines cordon_step (fixtures/gold_image/cordon_kernel.h); docs/guides/physics-oracle.md shows one.
exit status: 0 it holds, 1 it does not or could not be examined, 2 wrong use.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="examine a kernel")
    run.add_argument("kernel", type=Path, metavar="KERNEL.CPP")
    run.add_argument("--system", choices=sorted(physics.SYSTEMS), default="pendulum", help="default pendulum")
    run.add_argument("--order", type=int, default=2, help="order of accuracy it claims; default 2")
    run.add_argument("--requester", default="cbo", help="who asks; default cbo")
    run.add_argument("--engine", choices=["auto", "kvm", "tcg"], default="auto")
    run.add_argument("--out", type=Path, default=None, metavar="FOLDER", help="put program and statement here")
    run.add_argument("--state", type=Path, default=None, help="state folder with the keys (default: yours)")
    run.add_argument("--json", action="store_true", help="print one JSON object")
    verify = actions.add_parser("verify", help="check a statement, without a network")
    verify.add_argument("file", type=Path)
    verify.add_argument("--program", type=Path, default=None, help="the program it must be about")
    verify.add_argument("--trust", type=Path, default=None, help="trust file (default: that of your state folder)")
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    actions.add_parser("systems", help="list the systems a kernel may be for")


def run(args: argparse.Namespace) -> int:
    """Do `args.action`."""
    if args.action == "systems":
        sys.stdout.write("".join(f"{name}  {one.n} degree(s) of freedom\n" for name, one in physics.SYSTEMS.items()))
        return 0
    return _verify(args) if args.action == "verify" else _run(args)


def _run(args: argparse.Namespace) -> int:
    candidate = Candidate(_read(args.kernel), args.system, args.order, args.requester)
    from executor.policy.find import default_policies_dir  # noqa: PLC0415 - needs what verifying does not
    from executor.service import open_executor  # noqa: PLC0415 - libvirt, which verifying does not need

    def say(text: str) -> None:
        sys.stderr.write(f"cordon: {one_line(text)}\n")

    executor = open_executor(args.engine, state=args.state, policies=default_policies_dir(), progress=say)
    try:
        found = executor.examine(candidate, progress=say)
    finally:
        executor.close()
    if found.passed and args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "kernel").write_bytes(found.program)
        (args.out / "kernel.dsse.json").write_bytes(found.statement)
    if args.json:
        print_json(_document(found))
    else:
        _tell(found)
    return 0 if found.passed else 1


def _tell(found: Examination) -> None:
    for name, figure in found.verdict.get("figures", {}).items():
        sys.stdout.write(f"  {name:<13} {one_line(str(figure))}\n")
    if found.passed:
        sys.stdout.write(f"holds: signed, questions of seed {found.seed}\n")
    else:
        sys.stdout.write(f"does not hold ({found.stage}): {one_line(found.why)}\n")


def _document(found: Examination) -> dict[str, Any]:
    return {
        "passed": found.passed,
        "stage": found.stage,
        "why": found.why,
        "seed": found.seed,
        "verdict": found.verdict,
        "leases": {stage: (outcome.lease or {}).get("lease_id") for stage, outcome in found.outcomes.items()},
        "effects": {stage: outcome.effect for stage, outcome in found.outcomes.items()},
        "statement": canonical.loads(found.statement, where="statement") if found.statement else None,
    }


def _verify(args: argparse.Namespace) -> int:
    trust_file = args.trust or state_dir() / "policies" / "trust_keys.json"
    trust = Trust.parse(canonical.loads(_read(trust_file), where=str(trust_file)), where=str(trust_file))
    keys = {key.kid: key.public for key in (trust.current, trust.previous) if key is not None}
    program = _read(args.program) if args.program else None
    found = statement.verify(_read(args.file)[: dsse.MAX_ENVELOPE + 1], keys, program=program)
    if args.json:
        print_json(found)
    else:
        sys.stdout.write(
            f"holds: {found['verdict']['system']}, program {found['program_sha256']}, signed by {found['kid']}"
            f" at {found['made_at']}\n"
        )
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from None
