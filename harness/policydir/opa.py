"""The `opa` program as a tool: parse, check, test. Decisions of the running system go through `executor.policy`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from executor.errors import OutsideError

PARSE_DEADLINE_S: Final = 30
"""Longest `opa parse` or `opa check` may take; both take well under a second on any policy we know."""

QUIET: Final = {"GOGC": "off", "GOMAXPROCS": "1"}
"""For short runs side by side; collecting garbage and spreading over cores cost 0.54 s instead of 0.43 s."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How one run of the program ended; `timed_out` runs have no exit code worth reading."""

    code: int
    stdout: bytes
    stderr: str
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class OpaTool:
    """Runs one `opa` program."""

    program: Path

    def run(
        self, args: Sequence[str], *, cwd: Path, deadline_s: float, quiet: bool = False, garbage: str = "off"
    ) -> Finished:
        """Run `opa ARGS` in `cwd`; a run past its deadline is killed and says so.

        A `quiet` run collects garbage as `garbage` says (Go's GOGC), which for a short one is not at all.
        """
        env = {**os.environ, **QUIET, "GOGC": garbage} if quiet else None
        try:
            done = subprocess.run(
                [self.program, *args], cwd=cwd, env=env, capture_output=True, timeout=deadline_s, check=False
            )
        except subprocess.TimeoutExpired:
            return Finished(-1, b"", "", timed_out=True)
        except OSError as error:
            raise OutsideError(f"cannot run {self.program}: {error.strerror}") from error
        return Finished(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def parse(self, path: str, *, cwd: Path, locations: bool = True) -> dict[str, Any]:
        """The syntax tree of one Rego file; raises `OutsideError` with OPA's words when it is not Rego."""
        include = f"{'' if locations else '-'}locations,-comments"
        done = self.run(
            ["parse", "--format", "json", "--json-include", include, path],
            cwd=cwd,
            deadline_s=PARSE_DEADLINE_S,
        )
        if done.code != 0:
            raise OutsideError(f"{path} does not parse: {done.stderr.strip() or done.stdout.decode(errors='replace')}")
        tree: dict[str, Any] = json.loads(done.stdout)
        return tree
