"""What a run leaves in its folder: summary.json, tables as CSV, plots as SVG."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from executor.errors import OutsideError
from executor.intent import Priority
from executor.reporting.plot import bars, plot
from harness.report.whole_file import write_text
from harness.simulate.figures import lookup
from harness.simulate.load import Load
from harness.simulate.measures import Measures
from harness.simulate.sweep import Sweep

PROBE: Final = ".writable"
STYLE: Final = (
    "<style>svg{background:#fff;font-family:sans-serif}.t{font-size:12px;font-weight:bold}.s{font-size:11px;fill:#444}"
    ".a{stroke:#999}.l{stroke:#c00;stroke-dasharray:4 3}.p{fill:none;stroke:#1f6feb;stroke-width:2}"
    ".d,.b{fill:#1f6feb}</style>"
)
"""Inside a page the page says it; a file of its own has to say it itself."""
_SPREAD: Final = ("n", "mean", "p50", "p95", "p99", "max")
_SWEPT: Final = (
    "wait_s.all.mean",
    "wait_s.all.p50",
    "wait_s.all.p95",
    "wait_s.all.p99",
    *(f"wait_s.{priority.name}.{part}" for priority in Priority for part in ("mean", "p95", "p99")),
    "refused_share",
    "denied_share",
    "pool.miss_share",
    "queue.mean",
    "queue.longest",
    "utilisation",
)
"""Figures of each point that a sweep's table holds."""


def writable(folder: Path) -> None:
    """Raises `OutsideError` where nothing can be written: better before a long run than after it."""
    _write(folder, {PROBE: ""})
    (folder / PROBE).unlink(missing_ok=True)


def write_run(folder: Path, load: Load, found: dict[str, Any], measures: Measures) -> list[Path]:
    """Everything of one run; the files. Raises `OutsideError`."""
    waits = [(name, *(spread[part] for part in _SPREAD)) for name, spread in found["wait_s"].items()]
    parties = [
        (
            name,
            party["arrived"],
            party["completed"],
            party["refused"],
            party["denied"],
            party["wait_s"]["mean"],
            party["wait_s"]["p95"],
            party["naps"]["n"],
            party["naps"]["total_s"],
        )
        for name, party in found["requesters"].items()
    ]
    headings = ("requester", "arrived", "completed", "refused", "denied", "wait_mean_s", "wait_p95_s", "naps", "nap_s")
    timeline = [(round(at, 6), waiting, busy) for at, waiting, busy in measures.timeline]
    queued = [(at, float(waiting)) for at, waiting, _ in timeline]
    busy = [(at, float(count)) for at, _, count in timeline]
    return _write(
        folder,
        {
            "summary.json": _json(found),
            "waits.csv": _csv(("priority", *(part if part == "n" else f"{part}_s" for part in _SPREAD)), waits),
            "requesters.csv": _csv(headings, parties),
            "timeline.csv": _csv(("at_s", "waiting", "busy_workers"), timeline),
            "queue.svg": _alone(plot(f"{load.title}: queue", "tasks", queued)),
            "workers.svg": _alone(plot(f"{load.title}: busy workers", "", busy)),
            "waits.svg": _alone(_waits(load, measures)),
        },
    )


def write_sweep(folder: Path, load: Load, sweep: Sweep) -> list[Path]:
    """Everything of a sweep; the files. Raises `OutsideError`."""
    knobs = [knob for knob, _ in load.sweep]
    rows = [
        (
            *(value for _, value in point.setting),
            *(lookup(point.figures, path) for path in _SWEPT),
            "; ".join(point.missed),
        )
        for point in sweep.points
    ]
    best = sweep.recommended
    summary = {
        "schema": "cordon.sweep/1",
        "id": load.id,
        "recommended": dict(best.setting) if best else None,
        "points": [
            {"setting": dict(point.setting), "missed": list(point.missed), "figures": point.figures}
            for point in sweep.points
        ],
    }
    files: dict[str, str | list[Sequence[object]]] = {
        "sweep.json": _json(summary),
        "sweep.csv": _csv((*knobs, *_SWEPT, "missed"), rows),
        **{f"sweep-{name}.svg": _alone(svg) for name, svg in _curves(load, sweep).items()},
    }
    return _write(folder, files)


def _waits(load: Load, measures: Measures) -> str:
    """Bars: mean, p95 and p99 of every priority that was there."""
    rows = []
    for priority in Priority:
        if ordered := sorted(measures.waits[priority]):
            rows += [(f"{priority.name} p{part}", ordered[-(-part * len(ordered) // 100) - 1]) for part in (50, 95, 99)]
    return bars(f"{load.title}: wait in the queue", rows, "s")


def _curves(load: Load, sweep: Sweep) -> dict[str, str]:
    """One plot for each figure that matters, over the first swept size."""
    knob = load.sweep[0][0]
    limits = {target.figure: target.limit for target in load.targets}
    shown = [
        ("wait-p95", "wait, p95", "wait_s.all.p95", "s"),
        ("wait-mean", "wait, mean", "wait_s.all.mean", "s"),
        ("refused", "refused with 503", "refused_share", "of arrivals"),
        ("misses", "pool misses", "pool.miss_share", "of machines"),
        ("utilisation", "workers busy", "utilisation", "of their time"),
    ]
    known = {figure for _, _, figure, _ in shown}
    shown += [
        (target.name.replace("_", "-").replace(" of ", "-").lower(), target.name, target.figure, "s")
        for target in load.targets
        if target.figure not in known
    ]
    found = {}
    for name, title, path, unit in shown:
        points = sorted((float(dict(point.setting)[knob]), lookup(point.figures, path)) for point in sweep.points)
        found[name] = plot(f"{load.title}: {title}", unit, points, limit=limits.get(path), x_unit=knob)
    return found


def _alone(svg: str) -> str:
    """The plot as a file of its own."""
    return svg.replace("><text", f">{STYLE}<text", 1) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _csv(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> list[Sequence[object]]:
    return [headings, *rows]


def _write(folder: Path, files: dict[str, str | list[Sequence[object]]]) -> list[Path]:
    """Each file whole or as it was: a full disk leaves no half of one."""
    try:
        for name, content in files.items():
            write_text(folder / name, content if isinstance(content, str) else _as_csv(content))
    except OSError as error:
        raise OutsideError(f"cannot write to {folder}: {error.strerror}") from error
    return [folder / name for name in files]


def _as_csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
