"""`cordon new scenario`: a starting file for a drill, valid as it stands."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from cordon.terminal import one_line
from executor.errors import InvalidInputError, OutsideError
from harness.document import new_drill
from harness.document.scenario import parse_file
from harness.sabotage.cases import load

HELP: Final = "write a starting file for a scenario, with a free id"
SCENARIOS: Final = Path("scenarios")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("what", choices=["scenario"], help="what is to be written")
    parser.add_argument("name", help="its id, in kebab-case: what it shows, in two or three words")
    parser.add_argument("--plan", default="H", help="the plan it belongs to (H); docs/scenarios.md lists them")
    parser.add_argument("--class", dest="class_", default="", metavar="CLASS", help="a break-out attempt of that class")
    parser.add_argument("--title", default="", help="one line for the report (the name in words)")
    parser.add_argument("--file", type=Path, help="where to (the plan's folder below scenarios/)")
    parser.epilog = """\
examples:
  cordon new scenario reads-own-file
  cordon new scenario reads-roots-folder --plan escapes --class P

Then: cordon check scenarios FILE, and pytest FILE."""


def run(args: argparse.Namespace) -> int:
    """Write it; an existing file stays as it is."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", args.name) or len(args.name) > 80:
        raise InvalidInputError(f"{args.name!r} is no id: lower-case letters and digits, words joined with `-`")
    identifier = new_drill.free_id(args.name, load(SCENARIOS) if SCENARIOS.is_dir() else [])
    title = args.title or args.name.replace("-", " ").capitalize()
    new_drill.text(identifier, title=title, plan=args.plan, class_=args.class_)  # before a folder is named after it
    target = args.file or SCENARIOS / new_drill.folder_of(args.plan) / f"{identifier.replace('-', '_')}.yaml"
    depth = len(target.parent.parts) if not target.is_absolute() else 1
    text = new_drill.text(identifier, title=title, plan=args.plan, class_=args.class_, depth=depth)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise InvalidInputError(f"{target} exists already; choose another name, or --file") from None
    except OSError as error:
        raise OutsideError(f"{target} cannot be written: {error.strerror}") from None
    parse_file(target)
    if identifier != args.name:
        sys.stderr.write(one_line(f"the id {args.name} is taken: this one is {identifier}") + "\n")
    sys.stdout.write(f"{one_line(str(target))}\n")
    return 0
