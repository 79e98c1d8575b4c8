"""CP17's overview of a day from the audit trail: intents, denials by reason, lease efficiency, resource pressure.

The trail is read once; the days before (`TREND_DAYS`) are counted in the same pass, for the trend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from executor.errors import InvalidInputError
from executor.paths import private_dir
from executor.reporting.markdown import table
from executor.reporting.page import html_table, page
from executor.reporting.plot import bars, plot
from executor.reporting.run_report import dumps, replace_file, sweep
from executor.reporting.tally import Tally
from executor.reporting.text import code
from executor.svf import read

SCHEMA: Final = "cordon.daily_report/1"
TREND_DAYS: Final = 7
"""Days shown in the trend, the day itself the last of them."""
_TREND: Final = ("day", "submitted", "approved", "rejected", "lease denials", "breaches", "aborted")


def parse_day(text: str) -> date:
    """`YYYY-MM-DD` (UTC); raises `InvalidInputError`."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(f"{text!r} is no day; write it as 2026-01-31") from None


def count(events: Iterable[Mapping[str, Any]], day: date) -> dict[str, Any]:
    """The overview's values from events in the order of the trail; those of other days are passed over."""
    days = [(day - timedelta(days=back)).isoformat() for back in reversed(range(TREND_DAYS))]
    tallies = {name: Tally(name) for name in days}
    for event in events:
        if tally := tallies.get(event["ts"][:10]):
            tally.add(event)
    figures = [tally.to_json() for tally in tallies.values()]
    return {"schema": SCHEMA, **figures[-1], "trend": [_trend(one) for one in figures]}


def write(audit: Path, out: Path, day: date) -> dict[str, Path]:
    """Write `<day>.json`, `.md` and `.html` below `out` from the trail in `audit`; their paths by kind.

    Raises `OutsideError` when the trail cannot be read or the files not written.
    """
    overview = count((event.to_json() for event in read(audit)), day)
    folder = private_dir(out)
    sweep(folder)
    forms = {"json": dumps(overview), "md": markdown(overview).encode(), "html": html_page(overview).encode()}
    return {kind: replace_file(folder, f"{day.isoformat()}.{kind}", content) for kind, content in forms.items()}


def markdown(overview: Mapping[str, Any]) -> str:
    """The overview as Markdown."""
    parts = [f"# {overview['day']}"]
    for title, heading, rows in _sections(overview):
        cells = [[code(cell) for cell in row] for row in rows]
        parts += [f"## {title}", table(heading, cells) or "None."]
    return "\n\n".join(parts) + "\n"


def html_page(overview: Mapping[str, Any]) -> str:
    """The overview as an HTML page with plots."""
    hours = overview["intents"]["by_hour"]
    memory = overview["pressure"]["reserved_mb_by_hour"]
    refusals = list(overview["refusals"].items())[:12]
    body = [
        f"<h1>{overview['day']}</h1>",
        plot("intents by hour", "", [(hour, value) for hour, value in enumerate(hours)], x_unit="h UTC"),
        plot("memory reserved at once", "MiB", [(hour, value) for hour, value in enumerate(memory)], x_unit="h UTC"),
        *([bars("denials by reason", refusals)] if refusals else []),
    ]
    for title, heading, rows in _sections(overview):
        body += [f"<h2>{title}</h2>", html_table(heading, rows, "None.")]
    return page(f"Cordon {overview['day']}", body)


def _sections(overview: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    intents, leases, pressure = overview["intents"], overview["leases"], overview["pressure"]
    plain = [(name, pressure[name]) for name in ("atp_reserved", "memory_peak_bytes", "throttled", "zombies", "scrams")]
    named = [(f"{kind}: {name}", times) for kind in ("alerts", "breaches") for name, times in pressure[kind].items()]
    return [
        ("Intents", ("figure", "count"), [(name, intents[name]) for name in ("submitted", "approved", "rejected")]),
        ("Requesters", ("requester", "intents"), list(intents["by_requester"].items())),
        ("Denials by reason", ("reason", "count"), list(overview["refusals"].items())),
        ("Commands", ("ended", "count"), list(overview["commands"].items())),
        ("Lease efficiency", ("figure", "value"), list(leases.items())),
        ("Resource pressure", ("figure", "value"), [*plain, *named]),
        ("Trend", _TREND, [tuple(one[name] for name in _TREND) for one in overview["trend"]]),
    ]


def _trend(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "day": one["day"],
        "submitted": one["intents"]["submitted"],
        "approved": one["intents"]["approved"],
        "rejected": one["intents"]["rejected"],
        "lease denials": one["leases"]["denied"],
        "breaches": sum(one["pressure"]["breaches"].values()),
        "aborted": one["commands"].get("ABORTED", 0),
    }
