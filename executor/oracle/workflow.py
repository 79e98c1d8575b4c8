"""The oracle's course: build in one machine, run in a second, judge in a third, then sign. Each step is an intent.

1. build   g++ with the oracle's driver, under dev:compiler; the program comes out by `collect`, on record as built,
2. draw    only now the seed of the questions is drawn: the program is fixed by its digest,
3. run     the program goes into a fresh machine as an artefact bound by that digest, with no other right,
4. judge   the oracle of the gold image reads the answers in a machine that never ran a byte of the candidate,
5. sign    the executor signs what was found, and only when everything held.

Nothing a machine says about itself is believed: how a run ended is the executor's own outcome, and the verdict counts
only when it names the seed that was drawn and the digest of the answers that were handed in.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from executor.api import Executor, Request
from executor.errors import InvalidInputError
from executor.intent import Artefact, Command, FileIn, Intent, Limits
from executor.oracle import physics
from executor.outcome import Outcome

Stage = Literal["build", "run", "judge"]
HOME: Final = "/opt/cordon/oracle"
"""Where the gold image has header, driver and judge."""
SOURCE: Final = "/workspace/kernel.cpp"
PROGRAM: Final = "/workspace/kernel"
QUESTIONS: Final = "/workspace/questions"
ANSWERS: Final = "/workspace/answers"
NAME: Final = "kernel"
MAX_SOURCE: Final = 1024 * 1024
ORDERS: Final = range(1, 9)
RUN_S: Final = range(1, 301)
BUILD: Final = Limits(wallclock_timeout_s=120, disk_quota_mb=64)
RUN: Final = Limits(wallclock_timeout_s=30, disk_quota_mb=32, mem_quota_mb=128, pids=4, output_mb=1)
"""A kernel that answers does so in a few seconds under emulation; one that hangs is ended."""
JUDGE: Final = Limits(wallclock_timeout_s=120, disk_quota_mb=32)
_SAID: Final = 4096
"""Characters of what a failed step wrote that are shown."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kernel to be examined: the text of a C++ file that defines `cordon_step`."""

    source: bytes
    system: str = "pendulum"
    order: int = 2
    """Order of accuracy it claims."""
    requester: str = "cbo"
    run_s: int = RUN.wallclock_timeout_s
    """Seconds its run may take."""

    def __post_init__(self) -> None:
        """Raises `InvalidInputError` for what cannot be examined."""
        if self.system not in physics.SYSTEMS:
            raise InvalidInputError(f"no system {self.system!r}; there are {', '.join(sorted(physics.SYSTEMS))}")
        if self.order not in ORDERS:
            raise InvalidInputError(f"an order of {self.order} is outside {ORDERS.start}..{ORDERS.stop - 1}")
        if self.run_s not in RUN_S:
            raise InvalidInputError(f"a run of {self.run_s} s is outside {RUN_S.start}..{RUN_S.stop - 1}")
        if len(self.source) > MAX_SOURCE:
            raise InvalidInputError(f"a kernel of {len(self.source)} bytes is over {MAX_SOURCE}")


@dataclass(slots=True)
class Examination:
    """What came of a candidate; `statement` is signed, and there only when it passed."""

    candidate: Candidate
    passed: bool = False
    stage: Stage = "build"
    """How far it came."""
    why: str = ""
    """Why it did not pass, in one line."""
    seed: str = ""
    verdict: dict[str, Any] = field(default_factory=dict)
    program: bytes = b""
    requests: dict[Stage, Request] = field(default_factory=dict)
    outcomes: dict[Stage, Outcome] = field(default_factory=dict)
    statement: bytes = b""


def examine(
    executor: Executor,
    candidate: Candidate,
    sign: Callable[[Examination], bytes],
    *,
    progress: Callable[[str], None] = lambda _: None,
    weaken: frozenset[str] = frozenset(),
) -> Examination:
    """Take `candidate` through the course; `sign` is called once, when all held.

    `weaken` takes controls away, for drills.
    """
    found = Examination(candidate)
    number = secrets.token_hex(6)

    def step(stage: Stage, intent: Intent) -> Outcome | None:
        progress(f"{stage}: {' '.join(intent.commands[0].argv)[:100]}")
        found.stage = stage
        request = found.requests[stage] = Request(intent, weaken=weaken)
        outcome = found.outcomes[stage] = executor.run(request)
        return outcome if outcome.effect == "completed" else None

    build = step("build", _build(candidate, number))
    program = _collected(build, PROGRAM) if build else b""
    if not program:
        return _failed(found)
    found.program = program
    found.seed = secrets.token_hex(16)
    run = step("run", _run(candidate, number, found.seed, program))
    if run is None:
        return _failed(found)
    answers = _collected(run, ANSWERS)
    step("judge", _judge(candidate, number, found.seed, answers))
    found.verdict = read_verdict(found.outcomes["judge"], candidate, found.seed, answers)
    if not found.verdict.get("passed") and "oracle_verdict" not in weaken:
        return _failed(found)
    found.passed = True
    found.statement = sign(found)
    return found


def _build(candidate: Candidate, number: str) -> Intent:
    argv = ("g++", "-std=c++17", "-O2", f"-I{HOME}", "-o", PROGRAM, SOURCE, f"{HOME}/oracle_driver.o")
    return Intent(
        f"oracle-{number}-build",
        candidate.requester,
        (Command(argv),),
        capabilities=("base:execute", "dev:compiler", "fs:write_tmp"),
        files=(FileIn(SOURCE, candidate.source),),
        collect=(PROGRAM,),
        limits=BUILD,
    )


def _run(candidate: Candidate, number: str, seed: str, program: bytes) -> Intent:
    artefact = Artefact(NAME, program)
    return Intent(
        f"oracle-{number}-run",
        candidate.requester,
        (Command((artefact.path, QUESTIONS, ANSWERS)),),
        capabilities=("exec:artefact",),
        files=(FileIn(QUESTIONS, physics.encode(physics.exam(candidate.system, seed).questions)),),
        artefacts=(artefact,),
        collect=(ANSWERS,),
        limits=replace(RUN, wallclock_timeout_s=candidate.run_s),
    )


def _judge(candidate: Candidate, number: str, seed: str, answers: bytes) -> Intent:
    argv = ("python3", "-I", f"{HOME}/physics.py", "judge", "--system", candidate.system, "--seed", seed)
    return Intent(
        f"oracle-{number}-judge",
        candidate.requester,
        (Command((*argv, "--order", str(candidate.order), ANSWERS)),),
        capabilities=("base:execute", "dev:python"),
        files=(FileIn(ANSWERS, answers),),
        limits=JUDGE,
    )


def _collected(outcome: Outcome, path: str) -> bytes:
    return next((file.content for file in outcome.files if file.path == path and not file.refused), b"")


def read_verdict(outcome: Outcome, candidate: Candidate, seed: str, answers: bytes) -> dict[str, Any]:
    """The oracle's verdict, if it is one on these very answers; empty when the run says nothing that counts."""
    if outcome.effect not in {"completed", "failed"} or len(outcome.results) != 1:
        return {}
    lines = outcome.results[0].stdout.decode("utf-8", "replace").splitlines()
    told = [line.removeprefix(physics.MARK) for line in lines if line.startswith(physics.MARK)]
    try:
        (text,) = told
        verdict: Any = json.loads(text)
        asked = (candidate.system, candidate.order, seed, hashlib.sha256(answers).hexdigest())
        said = tuple(verdict[name] for name in ("system", "order", "seed", "answers_sha256"))
        agrees = verdict["passed"] is (outcome.effect == "completed") and said == asked
        whole = not verdict["passed"] or set(verdict["figures"]) == set(physics.CHECKS)
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return dict(verdict) if agrees and whole else {}


def _failed(found: Examination) -> Examination:
    """Fill in why, from how far it came."""
    outcome = found.outcomes[found.stage]
    if found.verdict:
        found.why = f"{found.verdict['failed']}: {found.verdict['why']}"
    elif outcome.effect in {"denied", "refused", "aborted"}:
        found.why = f"{outcome.effect}: {', '.join(outcome.reasons)} {outcome.message}".strip()
    elif found.stage == "build":
        found.why = f"it does not compile: {_said(outcome)}" if outcome.effect == "failed" else _ended(outcome)
    elif found.stage == "run":
        found.why = f"the kernel {_ended(outcome)}"
    else:
        found.why = "the judge came to no verdict"
    return found


def _ended(outcome: Outcome) -> str:
    last = outcome.results[-1] if outcome.results else None
    if outcome.effect == "timeout":
        return "did not come to an end"
    if outcome.effect == "breached":
        return f"went over its limits: {', '.join(outcome.reasons)}"
    if last and last.signal:
        return f"was ended by signal {last.signal} ({last.cause})"
    return f"ended with exit code {last.exit_code}: {_said(outcome)}" if last else f"came to {outcome.effect}"


def _said(outcome: Outcome) -> str:
    """What a step wrote on standard error, as one line of text."""
    text = outcome.results[-1].stderr[:_SAID].decode("utf-8", "replace") if outcome.results else ""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip()) or "no message"
