"""bootstrap's course: look, plan, say, install, hand over to tox."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from provision import pins, plan, shell, system
from provision.facts import Facts, gather
from provision.tools import Toolbox

_LOCKS: Final = {
    "opa": "tools/opa/go.sum",
    "regal": "tools/regal/go.sum",
    "node": "requirements/node.lock",
    "allure": "tools/allure/package-lock.json",
    "tox": "requirements/tox.lock",
}
_SYSTEM_STEPS: Final = ("account", "kvm")
_EXIT_INTERRUPTED: Final = 130


def go(asked: Sequence[str], extra: Sequence[str] | None, *, dry_run: bool, setup_only: bool) -> int:
    """Install what `asked` needs and run tox on it with `extra` arguments; the exit status."""
    cache = cache_folder()
    keys = plan.tool_keys({name: (pins.ROOT / path).read_bytes() for name, path in _LOCKS.items()})
    box = Toolbox(cache / "tools", keys)
    _forget_own_bin(box)
    facts = gather(plan.parts_of(asked), cache, keys)
    wanted = plan.decide(asked, facts, keys)
    names = plan.tox_environments(asked, extra=extra is not None)
    command = [str(box.tox), "run", "-e", ",".join(names), *(["--", *extra] if extra else [])]
    for line in describe(wanted):
        shell.say(line)
    if dry_run:
        shell.say(f"then it would run: tox {' '.join(command[1:])}")
    if wanted.problems:
        working = plan.still_works(facts, keys)
        sys.stdout.flush()
        for problem in wanted.problems:
            sys.stderr.write(f"bootstrap: cannot go on: {problem}\n")
        sys.stderr.write(f"bootstrap: what works here as it is: {', '.join(working) or 'nothing'}\n")
        return 1
    if dry_run:
        return 0
    try:
        install(wanted, box, facts)
    except shell.Failure as failure:
        sys.stderr.write(f"bootstrap: error: {failure}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"bootstrap: error: {error.strerror}: {error.filename}; mend that, or set CORDON_CACHE\n")
        return 1
    if setup_only:
        shell.say("everything is in place")
        return 0
    shell.say(f"tox {' '.join(command[1:])}")
    return _run_tox(command, box)


def cache_folder() -> Path:
    """As executor/paths.py answers it; written twice because bootstrap imports nothing but the standard library."""
    if value := os.environ.get("CORDON_CACHE"):
        return Path(value).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cordon"


def describe(wanted: plan.Plan) -> list[str]:
    """What will be installed, one line each."""
    if not wanted.steps:
        return ["nothing to install"]
    return ["will install:", *(f"  {number}. {step.title}" for number, step in enumerate(wanted.steps, 1))]


def install(wanted: plan.Plan, box: Toolbox, facts: Facts) -> None:
    """Do the steps in order, alone: a second bootstrap waits for the first."""
    with _alone(box.folder):
        for number, step in enumerate(wanted.steps, 1):
            shell.say(f"{number} of {len(wanted.steps)}: {step.title}")
            if step.kind == "apt":
                system.install_packages(step, facts.privilege)
            elif step.kind in _SYSTEM_STEPS:
                system.run_as_root(step, facts.privilege)
            else:
                box.install(step)
        box.link(plan.good_on_path(facts))
        box.tidy()


def _forget_own_bin(box: Toolbox) -> None:
    """Take our own folder off PATH (a tox that calls bootstrap has it): what we installed is not what was here."""
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(place for place in places if place != str(box.bin))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            shell.say("another bootstrap is installing; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run_tox(command: list[str], box: Toolbox) -> int:
    """Run tox as our child; 0 when all is well, 1 when not. SIGTERM is handed on, Ctrl-C reaches tox by itself."""
    child = subprocess.Popen(command, cwd=pins.ROOT, env=box.environment())

    def hand_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, hand_on)
    while True:
        try:
            status = child.wait()
            break
        except KeyboardInterrupt:
            # tox has had the same signal and is ending its own children; a second one makes it hurry.
            continue
    if status in (-signal.SIGINT, _EXIT_INTERRUPTED):
        return _EXIT_INTERRUPTED
    return 0 if status == 0 else 1
