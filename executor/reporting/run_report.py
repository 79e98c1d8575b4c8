"""Write what a run leaves in its folder: the streams, the exit code, the facts, and the report in three forms.

Written without fsync: the audit trail is the durable record, and its `report_event.PUBLISHED` holds the digest of
report.json, so a report that a power loss took or cut is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from executor.errors import outside
from executor.outcome import Outcome
from executor.paths import private_dir
from executor.reporting.document import build, in_words
from executor.reporting.markdown import run_markdown
from executor.reporting.page import run_page
from executor.rollback.pack import Pack

FILE_MODE: Final = 0o600
_HALF: Final = re.compile(r"\..+\.([0-9]+)\.[0-9a-f]{8}")
"""A file that is being written, and by which process; see `replace_file`."""
_encode: Final = json.JSONEncoder(sort_keys=True).encode
META: Final = ("intent_id", "lease_id", "engine", "vm_id", "verdict", "effect", "reasons", "stages", "samples")
"""What meta.json has of the report."""


@dataclass(frozen=True, slots=True)
class Published:
    """The files of a run, by name, and the digest of report.json."""

    paths: Mapping[str, Path]
    digest: str
    effect: str

    def event_data(self) -> dict[str, Any]:
        """What `report_event.PUBLISHED` says."""
        return {"effect": self.effect, "report": f"sha256:{self.digest}"}


def publish(
    run_dir: Path,
    outcome: Outcome,
    events: Iterable[Mapping[str, Any]] | None = None,
    decision: Mapping[str, Any] | None = None,
    lease: Mapping[str, Any] | None = None,
    *,
    pack: Pack | None = None,
) -> Published:
    """Write the run folder's files; events, decision and lease default to the outcome's. Raises `OutsideError`."""
    report = build(
        outcome,
        outcome.events if events is None else events,
        outcome.decision if decision is None else decision,
        outcome.lease if lease is None else lease,
        pack,
    )
    last = outcome.results[-1] if outcome.results else None
    text, said = dumps(report), in_words(report)
    files = {
        "stdout.log": b"".join(result.stdout for result in outcome.results),
        "stderr.log": b"".join(result.stderr for result in outcome.results),
        "exit_code.txt": f"{last.exit_code if last else ''}\n".encode(),
        "meta.json": dumps({name: report[name] for name in META}),
        "report.json": text,
        "report.md": run_markdown(report, said).encode(),
        "report.html": run_page(report, said).encode(),
    }
    folder = private_dir(run_dir)
    sweep(folder)
    paths = {name: replace_file(folder, name, content) for name, content in files.items()}
    return Published(paths, hashlib.sha256(text).hexdigest(), outcome.effect)


def dumps(value: Mapping[str, Any]) -> bytes:
    """JSON with one field to a line, ASCII only: a terminal that shows the file is not acted on.

    Not indented deeper: the library's indenting encoder is Python and took two thirds of a report's time.
    """
    lines = ",\n".join(f"{_encode(name)}: {_encode(value[name])}" for name in sorted(value))
    return f"{{\n{lines}\n}}\n".encode("ascii")


def replace_file(folder: Path, name: str, content: bytes) -> Path:
    """Replace a file in one step, never through a link; raises `OutsideError`."""
    path = folder / name
    # No `Path` for it: each run writes seven files, and the paths took longer than the writing.
    temporary = f"{folder}/.{name}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        with open(descriptor, "wb", buffering=0) as stream:  # noqa: PTH123 - its flags are what Path.open cannot carry
            left = memoryview(content)
            while left:
                left = left[stream.write(left) :]
        os.replace(temporary, path)  # noqa: PTH105 - see above
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - see above
        if isinstance(error, OSError):
            raise outside(f"cannot write {path}", error) from None
        raise
    return path


def sweep(folder: Path) -> None:
    """Remove what processes that were killed left half-written in `folder`."""
    for path in folder.glob(".*"):
        match = _HALF.fullmatch(path.name)
        if match is not None and not Path("/proc", match[1]).exists():
            path.unlink(missing_ok=True)
