"""Install this checkout into the running environment, editable, unless that is done already.

Nothing is fetched: dependencies come from the lock, and so does setuptools, which builds the few files needed.
A stamp in the environment holds the digest of pyproject.toml, so that the usual run costs one file read.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent


def main() -> int:
    """Install when the stamp does not fit; 0 or pip's exit status."""
    stamp = Path(sys.prefix) / "cordon-editable.txt"
    wanted = f"{hashlib.sha256((ROOT / 'pyproject.toml').read_bytes()).hexdigest()} {ROOT}\n"
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return 0
    command = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--editable", str(ROOT)]
    # tox.ini names the build constraints for pip's isolated builds; this build is not isolated, and pip refuses both.
    environment = {name: value for name, value in os.environ.items() if name != "PIP_BUILD_CONSTRAINT"}
    status = subprocess.run(command, check=False, env=environment).returncode
    if status == 0:
        stamp.write_text(wanted, "utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
