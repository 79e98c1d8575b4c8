"""Workflows and what they stand on: a numerical kernel put to the physics oracle, a program built here and run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Literal, get_args

from executor.channel.session import Denial
from executor.dsse import EnvelopeRefusedError
from executor.errors import BugError
from executor.intent import Artefact, Command, FileIn, Limits
from executor.oracle import statement
from executor.oracle.workflow import Candidate
from executor.outcome import Outcome
from harness.judgement.facts import Facts
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

KERNELS: Final = Path(__file__).parents[2] / "scenarios" / "workflows" / "kernels"
NEEDS_GUEST: Final = "the simulator compiles nothing and runs no machine code"
SAYS: Final = "an artefact of this drill"
How = Literal["as-built", "other-bytes", "other-requester", "swapped-under-the-lease", "copied-out"]


@procedure(unsimulated=NEEDS_GUEST)
def physics_oracle(stage: Stage, *, kernel: str, system: str = "pendulum", run_s: int = 30) -> Facts:
    """Has a kernel of scenarios/workflows/kernels built, run and judged in three machines, and looks for a signature.

    `failed` is the check that did not hold, or how the kernel's own run ended. `run_s`: seconds that run may take.
    """
    source = KERNELS / f"{kernel}.cpp"
    if source.parent != KERNELS or not source.is_file():
        raise BugError(f"no kernel {kernel!r} in {KERNELS}")
    found = stage.local.examine(Candidate(source.read_bytes(), system, run_s=run_s), weaken=stage.weaken)
    for name, outcome in found.outcomes.items():
        stage.judged(found.requests[name], outcome)
    last = found.outcomes[found.stage]
    return {
        "passed": found.passed,
        "came_to": found.stage,
        "failed": found.verdict.get("failed") or ("" if found.passed else last.effect),
        "signed": _signed(stage, found.statement, found.program),
        "machines": len({outcome.vm_id for outcome in found.outcomes.values()}),
    }


def _signed(stage: Stage, envelope: bytes, program: bytes) -> bool:
    """Whether there is a statement that holds for this program and for no other."""
    if not envelope:
        return False
    trusted = stage.local.trusted_keys()
    statement.verify(envelope, trusted, program=program)
    try:
        statement.verify(envelope, trusted, program=program + b"\0")
    except EnvelopeRefusedError:
        return True
    return False


@procedure(unsimulated=NEEDS_GUEST)
def artefact(stage: Stage, *, how: str) -> Facts:
    """Builds a program under one lease and tries to run it under another.

    `how`: as-built, other-bytes (one more than was built), other-requester, swapped-under-the-lease (the lease names
    what was built, other bytes reach the machine), copied-out (a copy elsewhere is run).
    """
    if how not in get_args(How):
        raise BugError(f"how is one of {', '.join(get_args(How))}")
    # What a compiler would hand back, without waiting for one: an executable file out of a lease with dev:compiler.
    made = stage.run(
        stage.request(
            {
                "capabilities": ["base:execute", "dev:compiler"],
                "commands": [{"argv": ["cp", "/usr/bin/echo", "/workspace/tool"]}],
                "collect": ["/workspace/tool"],
            }
        )
    )
    program = next((file.content for file in made.files if not file.refused), b"")
    if how == "swapped-under-the-lease":
        return _swapped(stage, program)
    return _run(stage, how, program + (b"\0" if how == "other-bytes" else b""))


def _run(stage: Stage, how: str, program: bytes) -> Facts:
    argv, also = _command(how)
    request = stage.request(
        {
            "requester": "drill" if how == "other-requester" else "cbo",
            "capabilities": ["exec:artefact", *also],
            "commands": [{"argv": argv}],
            "artefacts": [{"name": "tool", **_content(program)}],
        }
    )
    outcome = stage.run(request)
    return {"refusal": _refusal(outcome), "ran": _ran(outcome)}


def _command(how: str) -> tuple[list[str], list[str]]:
    """The command, and the capabilities it needs beside exec:artefact."""
    if how == "copied-out":
        code = (
            "import shutil, os; shutil.copy('/artefact/tool', '/workspace/tool'); os.chmod('/workspace/tool', 0o755);"
        )
        return ["python3", "-c", f"{code} os.execv('/workspace/tool', ['tool', {SAYS!r}])"], ["dev:python"]
    return ["/artefact/tool", SAYS], []


def _content(program: bytes) -> dict[str, str]:
    import base64  # noqa: PLC0415 - the intent's own spelling of bytes

    return {"base64": base64.b64encode(program).decode(), "sha256": hashlib.sha256(program).hexdigest()}


def _ran(outcome: Outcome) -> bool:
    said = b"".join(result.stdout for result in outcome.results)
    return outcome.effect == "completed" and SAYS.encode() in said


def _refusal(outcome: Outcome) -> str:
    if outcome.reasons:
        return f"denial {outcome.reasons[0]}"
    text = b"".join(result.stderr for result in outcome.results).decode("utf-8", "replace")
    return "errno EACCES" if "Permission denied" in text else ""


def _swapped(stage: Stage, program: bytes) -> Facts:
    """Past the host's own checks, as a host would that was wrong: the guest compares for itself."""
    session = stage.machine().session
    named = Artefact("tool", program)
    denial = session.prepare(
        "lease-of-the-drill",
        capabilities=("exec:artefact",),
        paths_write=("/workspace/**",),
        env_allowlist=(),
        commands=((named.path, SAYS),),
        limits=Limits(),
        artefacts=((named.name, named.sha256),),
    )
    denial = denial or session.put_file(FileIn(named.path, program + b"\0", 0o555))
    if denial is not None:
        return {"refusal": f"denial {denial.code}", "ran": False}
    started = session.start("task-of-the-drill", Command((named.path, SAYS)), {})
    if isinstance(started, Denial):
        return {"refusal": f"denial {started.code}", "ran": False}
    return {"refusal": "", "ran": True}
