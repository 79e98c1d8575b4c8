"""Files of a run's results: written whole or not at all, so that who reads beside the writer never sees a half."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import ReportError


def write_text(path: Path, text: str) -> None:
    """Have `text` in `path`, whole or not at all; its folder is made where it is missing. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def write_json(path: Path, content: object) -> None:
    """The same for JSON, as a person reads it."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def read_json(path: Path, schema: str, what: str) -> dict[str, Any]:
    """What was written with `schema` as `"schema"`; raises `ReportError` for anything else, which is then no `what`."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = raw["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError(f"{path} cannot be read as {what}: {error}") from None
    if found != schema:
        raise ReportError(f"{path} is {what} of another version: {found!r}, and this Cordon reads {schema!r}")
    return raw
