"""Running programs for bootstrap: output shown as it comes, more tries where a network may fail, one-line failures."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

TRIES: Final = 3
PAUSES_S: Final = (2.0, 10.0)
"""Seconds between the tries: a mirror that hiccups is back after the first, one that restarts after the second."""


class Failure(Exception):  # noqa: N818 - it is shown to a person as it is: "bootstrap: <message>"
    """A step failed: one line that says what, and what to do next."""


def say(text: str) -> None:
    """One line to the person, at once: what a program prints next comes after it."""
    sys.stdout.write(f"bootstrap: {text}\n")
    sys.stdout.flush()


def run(
    command: Sequence[str],
    *,
    what: str,
    then: str,
    tries: int = 1,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Run `command`; raises `Failure` naming `what` failed and what to do `then`, after `tries` tries.

    Its output goes where ours goes; it has no input, so that nothing waits for an answer that cannot come. sudo asks at
    the terminal itself.
    """
    full = {**os.environ, **(environment or {})}
    status = 0
    for attempt in range(tries):
        if attempt:
            say(f"{what} failed, trying again in {PAUSES_S[attempt - 1]:.0f} s ({attempt + 1} of {tries})")
            pause(PAUSES_S[attempt - 1])
        try:
            done = subprocess.run(command, check=False, env=full, cwd=folder, stdin=subprocess.DEVNULL)
        except OSError as error:
            raise Failure(f"{what} failed: {command[0]}: {error.strerror}; {then}") from error
        status = done.returncode
        if status == 0:
            return
    ended = f"signal {-status}" if status < 0 else f"status {status}"
    raise Failure(f"{what} failed ({shlex.join(command[:4])} ... ended with {ended}); {then}")


def as_root(command: Sequence[str], privilege: str) -> list[str]:
    """`command` as root runs it, or through sudo; the frontend is set there too, since sudo drops the environment."""
    if privilege == "root":
        return list(command)
    sudo = ["sudo", "-n"] if privilege == "sudo" else ["sudo"]
    return [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", *command]
