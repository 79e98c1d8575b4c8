"""Runs the tools an image is built with: to their end, or to ours."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from executor.errors import ImageError


def search_path() -> str:
    """The PATH, with the folders of system tools that unprivileged users often lack."""
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: Path | None = None,
    line: Callable[[str], None] | None = None,
) -> None:
    """Run a tool in a session of its own; an exception, also Ctrl-C, ends everything it started.

    `line` is given what it writes, line by line. Raises `ImageError` with the last lines when it fails.
    """
    source = stdin.open("rb") if stdin else None
    process = subprocess.Popen(
        argv,
        stdin=source or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8", "HOME": "/", **env},
        start_new_session=True,
        umask=0o022,
    )
    tail: list[str] = []
    try:
        assert process.stdout is not None  # noqa: S101 - asked for as a pipe above
        for raw in process.stdout:
            text = raw.decode(errors="replace").rstrip()
            tail = [*tail[-14:], text]
            if line:
                line(text)
        code = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
        if source:
            source.close()
    if code != 0:
        raise ImageError(f"{argv[0]} failed with {code}:\n  " + "\n  ".join(tail))
