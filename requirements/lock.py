"""Pin what pyproject.toml asks for: run by `tox -e lock`, writes requirements/*.lock with hashes.

Every lock holds for every supported Python (environment markers) and every platform the packages are published for.
`types` is solved under the versions of `tests`, so that mypy sees what the tests run.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
LOCKS: Final[dict[str, list[str]]] = {
    "tests": ["pyproject.toml", "--group", "tests"],
    "types": ["pyproject.toml", "--group", "tests", "--group", "types", "--constraint", "requirements/tests.lock"],
    "lint": ["--group", "lint"],
    "tox": ["--group", "tox"],
    "node": ["--group", "node"],
    "build": ["--group", "build", "--constraint", "requirements/tests.lock"],
}
"""Lock name -> what uv is to solve; `build` is what source packages (libvirt-python) are built with."""


def main(arguments: list[str]) -> int:
    """Write the locks named in `arguments`, or all; `--upgrade` takes newer versions where they exist."""
    flags = [argument for argument in arguments if argument.startswith("-")]
    names = [argument for argument in arguments if not argument.startswith("-")] or list(LOCKS)
    if unknown := sorted(set(names) - set(LOCKS)):
        sys.stderr.write(f"no such lock: {', '.join(unknown)}; there are {', '.join(LOCKS)}\n")
        return 2
    for name in names:
        target = f"requirements/{name}.lock"
        command = ["uv", "pip", "compile", *LOCKS[name], "--universal", "--python-version", "3.11"]
        command += ["--generate-hashes", "--no-header", "--quiet", "--output-file", target, *flags]
        sys.stdout.write(f"lock: {target}\n")
        if status := subprocess.run(command, cwd=HERE.parent, check=False).returncode:
            sys.stderr.write(f"lock: {target} could not be solved (uv ended with {status})\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
