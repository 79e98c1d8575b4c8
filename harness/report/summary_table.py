"""The table at the end of a run: plans, break-out attempts, the record, start-up figures."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from harness.judgement.coverage import Covered
from harness.report import summary
from harness.report.records import Record


def render(records: Sequence[Record], covered: Covered, *, width: int, color: bool) -> str:
    """The summary of `records` for a terminal of `width` columns."""
    target = io.StringIO()
    console = Console(file=target, width=max(width, 60), force_terminal=color, no_color=not color, highlight=False)
    console.print(_plans(records))
    for line in _lines(records, covered):
        console.print(line, markup=False, soft_wrap=True)
    return target.getvalue().rstrip("\n")


def _plans(records: Sequence[Record]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("plan", "scenarios", "passed", "failed", "unmeasured", "seconds"):
        table.add_column(title, justify="left" if title == "plan" else "right")
    for plan in (*dict.fromkeys(sorted(record["plan"] for record in records)), None):
        mine = [record for record in records if plan in {record["plan"], None}]
        good = sum(record["good"] for record in mine)
        unmeasured = sum(record["ruling"] == "UNMEASURED" for record in mine)
        cells = (len(mine), good, len(mine) - good - unmeasured, unmeasured)
        seconds = sum(record["seconds"] for record in mine)
        table.add_row(plan or "all", *map(str, cells), f"{seconds:.1f}", style="bold" if plan is None else "")
    return table


def _lines(records: Sequence[Record], covered: Covered) -> list[str]:
    runs = [run for record in records for run in record["runs"]]
    lines = [f"engine      {', '.join(sorted({run['engine'] for run in runs})) or 'none: nothing could be run'}"]
    attempts = Counter(record["ruling"] for record in records if record["attempt"])
    if attempts:
        counted = ", ".join(f"{attempts[ruling]} {ruling}" for ruling in summary.RULINGS if attempts[ruling])
        lines.append(f"break-outs  {counted}")
    svf = summary.svf(runs, covered)
    lines.append(
        f"record      {svf['seen']} events, {svf['missing']} missing, {svf['unexpected']} unexpected, coverage"
        f" {svf['coverage']:.3f}; {svf['types_covered']}/{svf['types_total']} types,"
        f" {svf['transitions_covered']}/{svf['transitions_total']} transitions"
    )
    for name, spread in summary.figures(records).items():
        spent = f"{spread['p50']:.0f} ms (median of {spread['n']}, {spread['min']:.0f} to {spread['max']:.0f})"
        lines.append(f"figure      {name}: {spent}")
    for record in records:
        if not record["good"]:
            why = record["listed"] or (record["findings"][0] if record["findings"] else "")
            lines.append(f"{record['ruling']:<11} {record['id']}: {why}")
    return lines
