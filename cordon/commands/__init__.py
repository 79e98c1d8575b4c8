"""The commands of `cordon`, one module each; the file's name is the command's name.

A command module has

    HELP: str                                                    one line for `cordon --help`
    configure(parser: argparse.ArgumentParser) -> None           its arguments, and an epilog with an example
    run(args: argparse.Namespace) -> int                         0 good, 1 the thing checked failed, 2 wrong use

It is imported only when its command is run. `catalogue` reads names and HELP lines from the sources without importing
them, so that `cordon --help` is quick and works where libvirt or another dependency of one command is missing.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent


def help_line(source: str) -> str:
    """The value of `HELP` in a command module's source; empty when there is none or it is no plain string."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return ""
    for statement in statements:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        if not any(isinstance(target, ast.Name) and target.id == "HELP" for target in targets):
            continue
        try:
            found = ast.literal_eval(value)
        except ValueError:
            return ""
        return found if isinstance(found, str) else ""
    return ""


def catalogue(folder: Path = FOLDER) -> dict[str, str]:
    """Command name -> HELP line, sorted by name. Modules whose names begin with `_` are helpers, not commands."""
    names = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    return {path.stem.replace("_", "-"): help_line(path.read_text("utf-8")) for path in names}
