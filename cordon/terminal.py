"""What the commands share for writing to a terminal: safe text, tables, colour only where it is wanted, progress.

Text from a guest, a lease, an audit record or a file name is untrusted: printed raw it could move the cursor,
change the window's title or forge lines. Everything such goes through `safe` (keeps line breaks) or `one_line`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console

PROGRESS_AFTER_S: Final = 2.0
"""Seconds a step may take before it is announced: below that a line is noise, above it silence looks like a hang."""

SPOKEN_EVERY_S: Final = 5.0
"""Seconds between two lines of progress: as often as a person reads."""

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that are not shown but act: controls, surrogates, separators of lines, and format characters,
which reorder what is shown (CVE-2021-42574, "Trojan Source"), have no width, or tag it."""


def safe(text: str) -> str:
    """`text` with every control and format character and lone surrogate escaped; line breaks and tabs stay."""
    return "".join(char if char in "\n\t" or _harmless(char) else _escaped(char) for char in text)


def one_line(text: str) -> str:
    """As `safe`, and line breaks and tabs are escaped too: for a place that must stay one line."""
    return "".join(char if _harmless(char) else _escaped(char) for char in text)


def _harmless(char: str) -> bool:
    return " " <= char <= "~" or unicodedata.category(char) not in _HIDDEN


def _escaped(char: str) -> str:
    names = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e"}
    code = ord(char)
    return names.get(char) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def wants_colour(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that takes colour. NO_COLOR (not empty, https://no-color.org) wins."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def console(stream: TextIO | None = None) -> Console:
    """A rich console on `stream` (stdout); markup is off, so that brackets in untrusted text stay text."""
    from rich.console import Console  # noqa: PLC0415 - 60 ms, not needed for --help and --json

    target = sys.stdout if stream is None else stream
    colour = wants_colour(target)
    return Console(
        file=target,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=not target.isatty(),
        no_color=not colour,
        force_terminal=colour,
        color_system="auto" if colour else None,
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, stream: TextIO | None = None) -> None:
    """Print `rows` under `headings` in aligned columns. Cells are made safe; a wide table is not cut in a pipe."""
    from rich import box  # noqa: PLC0415 - see console()
    from rich.table import Table  # noqa: PLC0415 - see console()
    from rich.text import Text  # noqa: PLC0415 - see console()

    target = sys.stdout if stream is None else stream
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in headings:
        grid.add_column(heading, no_wrap=not target.isatty(), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(safe(str(cell))) for cell in row))
    out = console(target)
    if not target.isatty():
        out.width = 10_000
    out.print(grid)


def print_json(value: Any) -> None:
    """`value` as indented JSON on stdout, keys sorted: for `--json`."""
    sys.stdout.write(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=True) + "\n")


class Announcer(Protocol):
    """What `progress` needs of a timer: threading.Timer's start and cancel."""

    def start(self) -> None:
        """Begin to count."""

    def cancel(self) -> None:
        """Do not call any more; silent when it has been called."""


@contextmanager
def progress(
    what: str,
    *,
    stream: TextIO | None = None,
    after_s: float = PROGRESS_AFTER_S,
    timer: Callable[[float, Callable[[], None]], Announcer] = threading.Timer,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[str], None]]:
    """Tell on stderr what takes long: after `after_s` that `what` is under way, then every `step(text)`, then the end.

    Yields `step`. A quick job prints nothing at all.
    """
    target = sys.stderr if stream is None else stream
    start = monotonic()
    spoken = threading.Event()

    def say(text: str) -> None:
        spoken.set()
        target.write(f"{one_line(what)}: {text}\n")
        target.flush()

    def step(text: str) -> None:
        if (elapsed := monotonic() - start) >= after_s:
            say(f"{one_line(text)} ({elapsed:.0f} s)")

    announcer = timer(after_s, lambda: say("under way"))
    announcer.start()
    try:
        yield step
    finally:
        announcer.cancel()
    if spoken.is_set():
        say(f"done in {monotonic() - start:.1f} s")


def now_and_then(
    step: Callable[[str], None],
    *,
    every_s: float = SPOKEN_EVERY_S,
    monotonic: Callable[[], float] = time.monotonic,
) -> Callable[[str], None]:
    """`step`, for a job that has news many times a second: the first `every_s` and what comes too soon go unsaid."""
    spoken = monotonic()

    def tell(text: str) -> None:
        nonlocal spoken
        if monotonic() - spoken >= every_s:
            spoken = monotonic()
            step(text)

    return tell
