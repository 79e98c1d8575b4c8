"""The service's own log: one line of JSON (or plain text) per happening, on standard error, for journald.

It says what happened to which task, never what a task said: no argv, no environment, no output, no file, no key. That
is kept by taking only named fields (`FIELDS`) and dropping everything else, not by searching for secrets.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

FIELDS: Final = frozenset(
    {
        *("event", "level", "timestamp", "task", "intent", "requester", "priority", "effect", "reasons", "code"),
        *("waited_ms", "took_ms", "engine", "vm", "by", "since", "flushed", "paused", "faults", "queued", "running"),
        *("interrupted", "queued_by_priority", "unreadable", "endpoint", "control", "metrics", "mode", "step", "error"),
        *("drained", "kid", "where", "orphans"),
    }
)
"""What a line may hold. A new field is added here, on purpose."""
MAX_TEXT: Final = 500


def only_named(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what is not in `FIELDS`, cut what is too long."""
    kept = {name: _short(value) for name, value in fields.items() if name in FIELDS}
    if dropped := len(fields) - len(kept):
        kept["dropped_fields"] = dropped
    return kept


def make_log(
    style: Literal["json", "console"], level: str, stream: TextIO | None = None
) -> structlog.typing.FilteringBoundLogger:
    """A logger on `stream` (standard error)."""
    target = sys.stderr if stream is None else stream
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=target.isatty())
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(target),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_named,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    )
    return logger


def _short(value: Any) -> Any:
    return f"{value[:MAX_TEXT]}..." if isinstance(value, str) and len(value) > MAX_TEXT else value
