"""A policy directory named by a person: a path, or `git:REV[:PATH]`, unpacked without touching the repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from executor.errors import InvalidInputError, OutsideError

PREFIX: Final = "git:"
DEFAULT_PATH: Final = "policies"
GIT_DEADLINE_S: Final = 60


def materialize(spec: str, scratch: Path, *, repository: Path | None = None) -> Path:
    """The directory `spec` names.

    A path is answered as it is. `git:REV` or `git:REV:PATH` (PATH defaults to `policies`) is unpacked below
    `scratch`, which the caller owns and removes; the work tree and the index stay as they are.
    """
    if not spec.startswith(PREFIX):
        path = Path(spec)
        if not spec or not path.is_dir():  # pathlib takes an empty text, of an unset variable, for the current folder
            raise InvalidInputError(
                f"{spec or 'nothing'}: not a directory; name one, or git:REV for a revision of the repository"
            )
        return path
    revision, _, inner = spec.removeprefix(PREFIX).partition(":")
    inner = inner.strip("/") or DEFAULT_PATH
    if not revision or revision.startswith("-"):
        raise InvalidInputError(f"{spec}: name a revision after git:, for example git:HEAD or git:v1.2:policies")
    target = scratch / "".join(c if c.isalnum() else "_" for c in f"{revision}_{inner}")
    target.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(_archive(spec, revision, inner, repository or Path())), mode="r:") as archive:
        archive.extractall(target, filter="data")
    return target / inner


def _archive(spec: str, revision: str, inner: str, repository: Path) -> bytes:
    """A tar of `inner` at `revision`; paths in the repository are relative to its top, wherever we were called."""
    top = _git(["rev-parse", "--show-toplevel"], cwd=repository, spec=spec).decode().strip()
    commit = _git(["rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], cwd=Path(top), spec=spec)
    return _git(["archive", "--format=tar", commit.decode().strip(), "--", inner], cwd=Path(top), spec=spec)


def _git(args: list[str], *, cwd: Path, spec: str) -> bytes:
    try:
        done = subprocess.run(["git", *args], cwd=cwd, capture_output=True, timeout=GIT_DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OutsideError(f"{spec}: cannot run git: {error}") from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise InvalidInputError(f"{spec}: {words[-1] if words else 'no such revision'}")
    return done.stdout
