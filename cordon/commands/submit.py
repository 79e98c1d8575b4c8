"""`cordon submit`: run a command in the sandbox of a running executor and end with its exit status."""

from __future__ import annotations

import argparse
import base64
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cordon.commands._bridge import add_connection, own_pair, server_key
from cordon.terminal import one_line, print_json, safe
from executor.bridge.client import BridgeClient, Output, Submission
from executor.bridge.wire import MAX_PAYLOAD
from executor.errors import InvalidInputError, MisuseError, OutsideError, RequestRefusedError
from executor.intent import Command, FileIn, Intent, Limits, Priority
from executor.outcome import Outcome

HELP: Final = "run a command through a running executor and end with its exit status"
REFUSED: Final = 125
"""Exit status when nothing ran or nothing can be said of how it ended; docker and env use it the same way."""
BY_SIGNAL: Final = 128
"""128 + signal, as shells report it."""
TIMED_OUT: Final = 124
"""As timeout(1)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_connection(parser, control=False)
    parser.add_argument(
        "--priority", choices=[priority.name for priority in Priority], default="NORMAL", help="default NORMAL"
    )
    parser.add_argument("--cap", action="append", default=[], metavar="TOKEN", help="a capability besides base:execute")
    parser.add_argument("--phase", choices=["staging", "production"], default="staging")
    parser.add_argument(
        "--file", action="append", default=[], metavar="LOCAL[:PATH]", help="put a file into /workspace first"
    )
    parser.add_argument("--collect", action="append", default=[], metavar="PATH", help="hand this back (with --json)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="set in the sandbox")
    parser.add_argument("--approval", action="append", metavar="NAME", help="who is asked to sign off; default cp14")
    parser.add_argument("--timeout", type=int, default=30, metavar="S", help="wall clock of the command; default 30")
    parser.add_argument("--id", default="", help="intent id; default a fresh one")
    parser.add_argument("--json", action="store_true", help="print the whole outcome as JSON and nothing else")
    parser.add_argument("argv", nargs="+", metavar="ARGV", help="the command, after --")
    parser.epilog = (
        "examples:\n  cordon submit -- echo 'Hello, Staging'\n"
        "  cordon submit --cap dev:python --file fib.py --priority HIGH -- python3 /workspace/fib.py\n\n"
        "exit status: the command's own; 124 time over, 125 refused or lost, 128+N ended by signal N.\n"
        "Keys: `cordon keys curve NAME` makes one, the operator puts its public half into the configuration."
    )


def run(args: argparse.Namespace) -> int:
    """Submit, stream, wait."""
    with BridgeClient(
        args.connect, server_key=server_key(args, control=False), pair=own_pair(args, "client")
    ) as bridge:
        intent = _intent(args, bridge.welcome.requester)
        submission = bridge.submit(intent, approvals=args.approval or ("cp14",), stream=not args.json)
        try:
            submission.accepted.result()
            _stream(submission, quiet=args.json)
            # With --json the whole trail is told, and that ends with the report; else the answer is enough.
            outcome = (submission.outcome if args.json else submission.answer).result()
        except (OutsideError, RequestRefusedError) as error:
            sys.stderr.write(f"cordon: {one_line(str(error))} [{getattr(error, 'reason', error.code)}]\n")
            return REFUSED
    if args.json:
        print_json(_document(outcome))
    else:
        _tell(outcome)
    return exit_status(outcome)


def exit_status(outcome: Outcome) -> int:
    """What a shell should see of `outcome`."""
    if outcome.effect == "timeout":
        return TIMED_OUT
    if outcome.effect in {"denied", "refused", "aborted"} or not outcome.results:
        return REFUSED
    last = outcome.results[-1]
    return BY_SIGNAL + last.signal if last.signal else last.exit_code


def _intent(args: argparse.Namespace, requester: str) -> Intent:
    return Intent(
        intent_id=args.id or f"submit-{secrets.token_hex(8)}",
        requester=requester,
        commands=(Command(tuple(args.argv)),),
        phase=args.phase,
        priority=Priority[args.priority],
        capabilities=tuple(dict.fromkeys(["base:execute", *args.cap])),
        env=_env(args.env),
        files=tuple(_file(value) for value in args.file),
        collect=tuple(args.collect),
        limits=Limits(wallclock_timeout_s=args.timeout),
    )


def _env(values: Sequence[str]) -> dict[str, str]:
    if bad := [value for value in values if "=" not in value or value.startswith("=")]:
        raise MisuseError(f"--env {bad[0]}: NAME=VALUE is wanted")
    return dict(value.split("=", 1) for value in values)


def _file(value: str) -> FileIn:
    local, _, inside = value.partition(":")
    path = Path(local)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_PAYLOAD + 1)  # a device has no end
    except OSError as error:
        raise InvalidInputError(f"--file {local}: {error.strerror}") from None
    if len(content) > MAX_PAYLOAD:
        raise InvalidInputError(f"--file {local}: over {MAX_PAYLOAD} bytes, which all files of a task share")
    mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    return FileIn(inside or f"/workspace/{path.name}", content, mode)


def _stream(submission: Submission, *, quiet: bool) -> None:
    for piece in submission.output():
        if not quiet:
            _write(piece)


def _write(piece: Output) -> None:
    """A guest's bytes: as they are into a pipe or file, made harmless on a terminal."""
    target = sys.stdout if piece.stream == "stdout" else sys.stderr
    if target.isatty():
        target.write(safe(piece.data.decode("utf-8", "replace")))
        target.flush()
    else:
        target.flush()
        target.buffer.write(piece.data)
        target.buffer.flush()


def _tell(outcome: Outcome) -> None:
    if outcome.effect in {"completed", "failed"}:
        return
    reasons = ", ".join(outcome.reasons) or _ended(outcome)
    sys.stderr.write(f"cordon: {outcome.effect}: {one_line(reasons)} {one_line(outcome.message)}".rstrip() + "\n")


def _ended(outcome: Outcome) -> str:
    """How the last command ended, where no reason of ours says so: by a signal, by the filter, by the clock."""
    if not outcome.results:
        return ""
    last = outcome.results[-1]
    by = f"by signal {last.signal}, " if last.signal else ""
    return f"{by}{last.cause} after {last.duration_ns / 1e9:.1f} s"


def _document(outcome: Outcome) -> dict[str, Any]:
    return {
        "intent_id": outcome.intent_id,
        "engine": outcome.engine,
        "verdict": outcome.verdict,
        "effect": outcome.effect,
        "reasons": list(outcome.reasons),
        "message": outcome.message,
        "vm_id": outcome.vm_id,
        "events": [event["type"] for event in outcome.events],
        "results": [
            {
                "argv": list(result.argv),
                "cause": result.cause,
                "exit_code": result.exit_code,
                "signal": result.signal,
                "stdout": result.stdout.decode("utf-8", "replace"),
                "stderr": result.stderr.decode("utf-8", "replace"),
                "duration_ns": result.duration_ns,
            }
            for result in outcome.results
        ],
        "files": [
            {"path": file.path, "refused": file.refused, "base64": base64.b64encode(file.content).decode()}
            for file in outcome.files
        ],
    }
