"""HTML pages that can do nothing: no script, one style sheet allowed by its digest, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from executor.reporting.document import MAX_OUTPUT, Said, in_words
from executor.reporting.markdown import HEADLINE, MAX_DATA, milliseconds
from executor.reporting.plot import Point, plot
from executor.reporting.text import html, html_all

STYLE: Final = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1,h2{line-height:1.2}h2{margin-top:2rem;border-bottom:1px solid #8886}
table{border-collapse:collapse;margin:.5rem 0;display:block;overflow-x:auto}
td,th{border:1px solid #8886;padding:.2rem .6rem;text-align:left;vertical-align:top}
code,pre,td{font-family:ui-monospace,monospace;font-size:13px;overflow-wrap:anywhere}
pre{background:#8881;padding:.6rem;white-space:pre-wrap}
.good{color:#0a7a2f}.bad{color:#c0261c}.bad,.good{font-weight:600}
svg{display:block;max-width:35rem;width:100%;height:auto;margin:.6rem 0}
svg .t,svg .s{font:12px system-ui,sans-serif;fill:currentColor}svg .s{font-size:11px;opacity:.75}
svg .p{fill:none;stroke:#2563c9;stroke-width:1.6}svg .d,svg .b{fill:#2563c9}
svg .a{stroke:currentColor;opacity:.4}svg .l{stroke:#c0261c;stroke-dasharray:5 4}
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
"""The page's Content-Security-Policy; frame-ancestors does not work in a meta element."""


def page(title: str, body: Iterable[str]) -> str:
    """A whole page; `title` is escaped here, `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">'
        f"<title>{html(title, 200)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def html_table(heading: Sequence[str], rows: Iterable[Sequence[object]], empty: str = "None recorded.") -> str:
    """A table of escaped cells."""
    cells = [*heading, *(cell for row in rows for cell in row)]
    if len(cells) == len(heading):
        return f"<p>{html(empty)}</p>"
    lines = zip(*[iter(html_all(cells, MAX_OUTPUT))] * len(heading), strict=True)
    head = "</th><th>".join(next(lines))
    body = "".join(f"<tr><td>{'</td><td>'.join(line)}</td></tr>\n" for line in lines)
    return f"<table><tr><th>{head}</th></tr>\n{body}</table>"


def run_page(report: Mapping[str, Any], said: Said | None = None) -> str:
    """The HTML form of `document.build`'s values; `said`: its JSON in words, where that is at hand."""
    said = said or in_words(report)
    good = report["verdict"] == "allow" and report["effect"] == "completed"
    headline = ": ".join([f"{report['verdict']}, {report['effect']}", *report["reasons"]])
    body = [
        f"<h1>Run <code>{html(report['intent_id'])}</code></h1>",
        f'<p class="{"good" if good else "bad"}">{html(headline)}</p>',
        *([f"<pre>{html(report['message'], MAX_OUTPUT)}</pre>"] if report["message"] else []),
        html_table(("", ""), [(name, report[key]) for name, key in HEADLINE]),
        *_decision(report["decision"]),
        "<h2>Lease</h2>",
        f"<pre>{html(said.lease)}</pre>" if report["lease"] else "<p>No lease was issued.</p>",
        "<h2>Commands</h2>",
        *_commands(report["results"]),
        "<h2>Resources</h2>",
        *_plots(report["samples"], (report["lease"] or {}).get("limits") or {}),
        "<h2>Changes</h2>",
        html_table(("path", "change", "expected"), map(_change, report["changes"])),
        html_table(("collected file", "bytes", "refused"), map(_file, report["files"]), "No file was collected."),
        "<h2>Trail</h2>",
        html_table(("seq", "time", "event", "actor", "data"), map(_event, report["trail"], said.data)),
        "<h2>Time</h2>",
        html_table(("stage", "where", "ms"), map(_stage, report["stages"])),
    ]
    return page(f"Run {report['intent_id']}", body)


def _decision(decision: Mapping[str, Any]) -> list[str]:
    risk = decision.get("risk") or {}
    factors = [(one.get("name", ""), one.get("points", "")) for one in risk.get("factors") or []]
    scored = [("score", risk.get("score", "")), ("band", risk.get("band", "")), *factors]
    reasons = [[one.get(key, "") for key in ("code", "msg", "remedy")] for one in decision.get("reasons") or []]
    grants = [[one.get(key, "") for key in ("kind", "name", "by")] for one in decision.get("grants") or []]
    return [
        "<h2>Decision</h2>",
        html_table(("code", "what", "remedy"), reasons, "No reason to refuse."),
        html_table(("kind", "granted", "by"), grants, "Nothing was granted."),
        html_table(("risk", "points"), scored),
    ]


def _change(change: Mapping[str, Any]) -> tuple[str, ...]:
    return change["path"], change["kind"], "yes" if change["expected"] else "NO"


def _file(file: Mapping[str, Any]) -> tuple[object, ...]:
    return file["path"], file["bytes"], file["refused"]


def _stage(stage: Mapping[str, Any]) -> tuple[str, ...]:
    return stage["name"], stage["side"], milliseconds(stage["duration_ns"])


def _commands(results: Sequence[Mapping[str, Any]]) -> list[str]:
    parts = [] if results else ["<p>Nothing ran.</p>"]
    for result in results:
        end = f"{result['cause']}, exit code {result['exit_code']}, signal {result['signal']}"
        took = milliseconds(result["duration_ns"])
        parts.append(f"<p><code>{html(' '.join(result['argv']), MAX_OUTPUT)}</code><br>{html(end)}, {took} ms</p>")
        said = [(name, result[name]) for name in ("stdout", "stderr") if result[name]["bytes"]]
        parts += [f"<p>{name}, {stream['bytes']} bytes</p><pre>{html(stream['text'])}</pre>" for name, stream in said]
    return parts


def _plots(samples: Sequence[Mapping[str, int]], limits: Mapping[str, Any]) -> list[str]:
    if not samples:
        return ["<p>No samples: nothing ran long enough.</p>"]
    mebibyte = 1024 * 1024
    return [
        plot("memory", "MiB", _series(samples, "memory_bytes", mebibyte), limit=limits.get("mem_quota_mb")),
        plot("processor", "% of one", cpu_percent(samples), limit=limits.get("cpu_quota")),
        plot("disk", "MiB", _series(samples, "disk_bytes", mebibyte), limit=limits.get("disk_quota_mb")),
        plot("processes", "", _series(samples, "pids", 1), limit=limits.get("pids")),
    ]


def _series(samples: Sequence[Mapping[str, int]], name: str, unit: int) -> list[Point]:
    return [(sample["at_ms"] / 1000, sample.get(name, 0) / unit) for sample in samples]


def cpu_percent(samples: Sequence[Mapping[str, int]]) -> list[Point]:
    """Processor use between neighbouring samples, in percent of one processor; a new command counts from zero."""
    points, at, used = [], 0, 0
    for sample in samples:
        now, usec = sample["at_ms"], sample.get("cpu_usec", 0)
        spent = usec - used if usec >= used else usec
        if now > at:
            points.append((now / 1000, spent / 10 / (now - at)))
            at, used = now, usec
    return points


def _event(event: Mapping[str, Any], data: str) -> tuple[object, ...]:
    return event["seq"], event["ts"], event["type"], event["actor"], data[:MAX_DATA]
