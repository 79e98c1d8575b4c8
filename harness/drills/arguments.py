"""What the drills are asked to do: options of their own, and what those of pytest mean for the steps after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

HELP: Final = """\
usage: tox -e drills -- [-n N] [--no-sweep] [pytest arguments] [scenarios ...]

Run every scenario on real VMs, take every control away once, write the report, sign the results: all in build/drills.

  -n N             processes (2 with `tox -e drills` alone)
  --no-sweep       take no control away beyond what the scenarios' own positive controls do
  --engine ENGINE  auto (the default), kvm, tcg or sim
  --shard I/N      the I-th of N parts; `cordon report merge` makes one report of them
  --order ORDER    random:SEED runs them shuffled
  -k, -m, --lf, -x and all else are pytest's: `pytest --help`

examples:
  tox -e drills
  tox -e drills -- -n 2 -m smoke
  tox -e drills -- scenarios/seccomp -k mount
  tox -e drills -- -n 2 --shard 1/4

exit status: 0 green, 1 a drill, the sweep, the report or the attestation failed, 2 interrupted, 3 a fault of pytest's,
4 wrong use (what the last run left stays), 5 nothing was chosen (so, too)
"""
NO_SWEEP: Final = "--no-sweep"
_CHOOSING: Final = ("-k", "-m", "--lf", "--ff", "--last-failed", "--deselect", "--ignore", "--sabotage", "--co")
"""Options of pytest after which not all scenarios were run."""


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether someone only asks what there is to ask for."""
    return any(argument in {"-h", "--help"} for argument in arguments)


def only_lists(extra: Sequence[str]) -> bool:
    """Whether pytest is to tell what it would run, and to run nothing."""
    return any(argument in {"--co", "--collect-only"} for argument in extra)


def is_whole(extra: Sequence[str]) -> bool:
    """Whether nothing in pytest's arguments chooses among the scenarios, or does something else than run them.

    A shard is a part of the whole: it sweeps its part of the controls.
    """
    chosen = any(is_path(argument) for argument in extra)
    return not chosen and not any(argument.startswith(_CHOOSING) for argument in extra)


def option(extra: Sequence[str], *names: str) -> str:
    """The value of an option among pytest's arguments, `--name=value`, `--name value` or `-nvalue`; empty without."""
    for number, argument in enumerate(extra):
        for name in names:
            if argument == name:
                return extra[number + 1] if number + 1 < len(extra) else ""
            if argument.startswith(f"{name}="):
                return argument.partition("=")[2]
            if not name.startswith("--") and argument.startswith(name):
                return argument[len(name) :]
    return ""


def is_path(argument: str) -> bool:
    """Whether `argument` names scenarios: not every path does, options have paths for values."""
    path = Path(argument.partition("::")[0])
    named = path.suffix in {".yaml", ".yml"} or "scenarios" in path.parts
    return not argument.startswith("-") and named and path.exists()
