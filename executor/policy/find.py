"""Which OPA is used, and which policies when nobody says."""

from __future__ import annotations

import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Final

from executor.errors import OutsideError, PolicyUnavailableError
from executor.host.tools import need_tool

OPA_MINIMUM: Final = (1, 19, 0)
"""First release with the server and test options used here."""
_VERSION: Final = re.compile(r"^Version:\s*v?(\d+)\.(\d+)\.(\d+)", re.MULTILINE)
_ASK_TIMEOUT_S: Final = 20.0


def find_opa() -> Path:
    """The `opa` to run; raises `PolicyUnavailableError` when there is none or it is too old."""
    try:
        opa = need_tool("opa", environment="policies")
    except OutsideError as error:
        raise PolicyUnavailableError(str(error)) from error
    status = opa.stat()
    version = _version(opa, (status.st_mtime_ns, status.st_ino))
    if version < OPA_MINIMUM:
        found, wanted = (".".join(map(str, number)) for number in (version, OPA_MINIMUM))
        raise PolicyUnavailableError(f"{opa} is version {found}; {wanted} or newer is needed (or set CORDON_OPA)")
    return opa


@lru_cache(maxsize=8)
def _version(opa: Path, _stamp: tuple[int, int]) -> tuple[int, int, int]:
    try:
        answer = subprocess.run([opa, "version"], capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PolicyUnavailableError(f"{opa} cannot be run: {error}") from error
    found = _VERSION.search(answer.stdout)
    if found is None:
        raise PolicyUnavailableError(f"{opa} does not tell its version; is it Open Policy Agent?")
    return int(found[1]), int(found[2]), int(found[3])


def default_policies_dir() -> Path:
    """`$CORDON_POLICIES`, else `policies/` beside the packages in the checkout."""
    if value := os.environ.get("CORDON_POLICIES"):
        return Path(value).absolute()
    return Path(__file__).resolve().parents[2] / "policies"
