"""Where the programs Cordon calls are: one answer for doctor, executor, harness and report.

Looked for in this order, the first that exists and is executable wins:

1. `$CORDON_<NAME>`, for example CORDON_OPA=/opt/opa (dashes become underscores); set but unusable is an error,
2. the folder bootstrap.py fills: `$CORDON_TOOLS`, else `tools/bin` in the cache folder; it holds only programs of which
   PATH had none, or one too old,
3. PATH,
4. /usr/sbin and /sbin, which are not on everybody's PATH.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from executor.errors import InvalidInputError, OutsideError
from executor.paths import cache_dir

_SBIN: Final = ("/usr/sbin", "/sbin")


def tools_dir() -> Path:
    """The folder bootstrap.py installs programs into: `$CORDON_TOOLS`, else tools/bin in the cache folder."""
    return Path(os.environ.get("CORDON_TOOLS") or cache_dir() / "tools" / "bin")


def find_tool(name: str, *others: str) -> Path | None:
    """The program `name`, or one of its `others` names, or None.

    Raises `InvalidInputError` when `$CORDON_<NAME>` is set to something that cannot be run.
    """
    variable = f"CORDON_{name.upper().replace('-', '_')}"
    if value := os.environ.get(variable):
        if found := shutil.which(value):
            return Path(found)
        raise InvalidInputError(
            f"{variable} is set to {value}, which is no program that can be run; correct or unset it"
        )
    places = os.pathsep.join([str(tools_dir()), os.environ.get("PATH", os.defpath), *_SBIN])
    for candidate in (name, *others):
        if found := shutil.which(candidate, path=places):
            return Path(found)
    return None


def need_tool(name: str, *others: str, environment: str = "drills") -> Path:
    """As `find_tool`; raises `OutsideError` with the command that installs it when there is none."""
    if found := find_tool(name, *others):
        return found
    raise OutsideError(
        f"{name} is not installed; `python3 bootstrap.py {environment}` installs it, or set CORDON_{name.upper()}"
    )
