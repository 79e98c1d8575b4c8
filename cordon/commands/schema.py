"""`cordon schema`: the published JSON Schemas, for editors and for programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.resources import files
from typing import Final

from executor.errors import OutsideError
from executor.policy import default_policies_dir
from harness import schema as scenario_schema

HELP: Final = "print a published JSON Schema: scenarios, batches, procedures, loads, studies, policy input, leases"


def _input() -> str:
    path = default_policies_dir() / "schemas" / "input.schema.json"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"cannot read {path}: {error.strerror}") from None


def _lease() -> str:
    return files("executor.lease").joinpath("lease_schema.json").read_text(encoding="utf-8")


_SCHEMAS: Final[dict[str, Callable[[], str]]] = {
    "scenario": scenario_schema.text,
    "breakouts": lambda: scenario_schema.text(scenario_schema.BREAKOUTS),
    "procedure": lambda: scenario_schema.text(scenario_schema.PROCEDURE),
    "input": _input,
    "lease": _lease,
    "load": lambda: scenario_schema.text(scenario_schema.LOAD),
    "study": lambda: scenario_schema.text(scenario_schema.STUDY),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("name", nargs="?", choices=sorted(_SCHEMAS), default="scenario", help="which (scenario)")
    parser.epilog = """\
examples:
  cordon schema > .vscode/scenario.schema.json
  cordon schema breakouts > .vscode/breakouts.schema.json
  cordon schema input

An editor with the YAML language server completes and checks scenarios when the file begins with
  # yaml-language-server: $schema=<where you put it>"""


def run(args: argparse.Namespace) -> int:
    """Print it."""
    sys.stdout.write(_SCHEMAS[args.name]())
    return 0
