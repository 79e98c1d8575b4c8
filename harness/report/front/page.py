"""The front page from its material, top to bottom: the verdict, the figures, then what they are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from harness import schema
from harness.report.front import chart, simulator
from harness.report.front.html import bar, ruling, table, tag, text
from harness.report.front.material import Material
from harness.report.front.weave import linked
from harness.report.records import Record
from harness.report.summary import PLANS, RULINGS

SLOWEST: Final = 12
TRUTH_TABLE: Final = "seccomp-truth-table"
"""The scenario whose page has the table of every system call."""
REDS: Final = 40
"""Red scenarios named at the top; all of them are in the list at the end."""
ABOUT: Final = (
    "Cordon proves that an autonomous agent's sandbox holds. Each scenario below asked to run something and was judged"
    " on three accounts that have to agree: what the policy said, what happened in and around the machine, and what was"
    " recorded. A break-out attempt counts as blocked only if the same bytes got through a machine whose protection was"
    " taken away, and a harmless twin still worked."
)
ENGINES: Final = {
    "kvm": "kvm (virtual machines on the CPU's own virtualisation)",
    "tcg": "tcg (real virtual machines, their CPU emulated by QEMU)",
    "sim": "sim (the simulator: no machine was started)",
}
_NUMBERS: Final = frozenset(range(1, 12))


def render(material: Material) -> str:
    """The page's HTML, static."""
    parts = [
        _head(material),
        _tiles(material.summary),
        *_sections(material),
    ]
    return tag("main", "".join(parts))


def _sections(material: Material) -> Iterator[str]:
    yield _reds(material)
    yield _plans(material)
    if material.summary["attempts"]["total"]:
        yield _attempts(material)
    yield _svf(material)
    yield _sabotage(material)
    yield _section("simulator", "The simulator", *simulator.section(material))
    yield _slowest(material)
    yield _trend(material)
    yield _unmeasured(material)
    yield _all(material)
    yield _judged_with(material.summary)


def _section(anchor: str, title: str, body: str, note: str = "") -> str:
    told = tag("p", text(note), class_="dim") if note else ""
    return tag("section", tag("h2", text(title)) + told + body, id=f"cordon-{anchor}")


def _head(material: Material) -> str:
    summary, problems = material.summary, material.problems
    when = material.trend[-1]["at"][:19].replace("T", " ") + " UTC" if material.trend else ""
    counts = summary["scenarios"]
    if problems:
        words = "Red: do not rely on this sandbox before these are understood."
        listed = tag("ul", "".join(tag("li", text(problem)) for problem in problems))
    else:
        attempts = summary["attempts"]
        words = "Green: verdict, effect and record agree in every scenario, and nothing escaped."
        listed = tag(
            "p",
            f"{counts['passed']} of {counts['total']} scenarios passed; {attempts['blocked']} of {attempts['total']}"
            " break-out attempts were stopped as expected, succeeded in a machine whose protection was taken away, and"
            " left a harmless twin working.",
        )
    verdict = tag("div", tag("strong", text(words)) + listed, class_="verdict red" if problems else "verdict")
    engine = ENGINES.get(summary["engine"], summary["engine"])
    told = [f"engine {engine}", _minutes(summary["duration_s"]), *_source(summary), *([when] if when else [])]
    about = " · ".join(told)
    links = "".join(
        tag("a", text(title), href=target)
        for title, target in (
            ("Plans", "#cordon-plans"),
            ("Attempts", "#cordon-attempts"),
            ("Record", "#cordon-svf"),
            ("Sabotage", "#cordon-sabotage"),
            ("Simulator", "#cordon-simulator"),
            ("Slowest", "#cordon-slowest"),
            ("Trend", "#cordon-trend"),
            ("Every scenario", "#cordon-all"),
            ("Judged with", "#cordon-with"),
            ("System calls", linked(material.pages, TRUTH_TABLE)),
            ("Search in Allure", "#/"),
        )
        if target
    )
    intro = tag("p", text(about), class_="dim") + verdict + tag("p", text(ABOUT), class_="dim")
    return tag("h1", "Cordon drills") + intro + tag("nav", links)


def _source(summary: dict[str, Any]) -> list[str]:
    """Which commit was judged."""
    source = summary.get("source") or {}
    if not source.get("commit"):
        return []
    return [f"commit {source['commit'][:12]}{' with changes of its own' if source.get('modified') else ''}"]


def _reds(material: Material) -> str:
    """What is red, by name, where it is seen first."""
    red = [record for record in material.records if not record["good"] and not record["listed"]]
    if not red:
        return ""
    order = {name: place for place, name in enumerate(("ESCAPED", "VACUOUS", "DIVERGENT", "OVER_REFUSED"))}
    red.sort(key=lambda record: (order.get(record["ruling"], len(order)), record["id"]))
    rows = [
        (
            _link(material, record["id"]) + "<br>" + tag("span", text(record["title"]), class_="dim"),
            ruling(record["ruling"]),
            _said(record["findings"][0] if record["findings"] else ""),
        )
        for record in red[:REDS]
    ]
    more = tag("p", text(f"and {len(red) - REDS} more, in the list of every scenario"), class_="dim")
    body = table(("scenario", "ruling", "what was found first"), rows, class_="stack", numbers=frozenset())
    inner = tag("h2", "Red scenarios") + body + (more if len(red) > REDS else "")
    return tag("section", inner, class_="reds", id="cordon-red")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _tiles(summary: dict[str, Any]) -> str:
    counts, attempts, svf, swept = (summary[name] for name in ("scenarios", "attempts", "svf", "sabotage"))
    left = svf["transitions_total"] - svf["transitions_covered"]
    tiles = [
        (f"{counts['passed']}/{counts['total']}", "scenarios passed", "bad" if counts["failed"] else ""),
        (f"{attempts['blocked']}/{attempts['total']}", "break-out attempts blocked", ""),
        (attempts["distinct"], "distinct mechanisms", ""),
        (attempts["escaped"], "escaped", "bad" if attempts["escaped"] else ""),
        (counts["unmeasured"], "not measured here", "open" if counts["unmeasured"] else ""),
        (summary["writes_outside"], "writes outside the sandbox", "bad" if summary["writes_outside"] else ""),
        (f"{svf['coverage']:.3f}", f"of the record exact; {svf['missing'] + svf['unexpected']} events off", ""),
        (f"{svf['transitions_covered']}/{svf['transitions_total']}", "transitions taken", "open" if left else ""),
        _swept(swept),
        simulator.tile(summary.get("conformance") or {}),
    ]
    return tag(
        "div",
        "".join(tag("div", tag("b", text(value)) + tag("span", text(what)), class_=f"tile {kind}".strip())
                for value, what, kind in tiles),
        class_="tiles",
    )  # fmt: skip


def _swept(swept: dict[str, int]) -> tuple[str, str, str]:
    if not swept["controls"]:
        return "-", "controls taken away: not asked for in this run", "dim"
    told = f"{swept['caught']}/{swept['controls']}"
    return told, "controls noticed when gone", "bad" if swept["caught"] < swept["controls"] else ""


def _plans(material: Material) -> str:
    meanings = dict(schema.choices("plan"))
    rows = []
    for plan in (*PLANS, *(name for name in meanings if name not in PLANS)):
        mine = [record for record in material.records if record["plan"] == plan]
        if not mine and plan not in PLANS:
            continue
        good = sum(record["good"] for record in mine)
        open_ = sum(record["ruling"] == "UNMEASURED" for record in mine)
        failed = len(mine) - good - open_
        kind = "bad" if failed else "good"
        seconds = sum(record["seconds"] for record in mine)
        share = tag("span", bar(good / len(mine), kind)) if mine else ""
        told = meanings[plan] if mine else f"{meanings[plan]}, not in this run"
        name = tag("b", text(plan)) + " " + tag("span", text(told), class_="dim")
        marked = [
            tag("b", text(count), class_=kind) if count else "" for count, kind in ((failed, "bad"), (open_, "open"))
        ]
        counts = [text(count or "") for count in (len(mine), good)]
        rows.append((name, *counts, *marked, text(f"{seconds:.0f}") if mine else "", share))
    headings = ("plan", "scenarios", "passed", "failed", "unmeasured", "seconds", "")
    return _section("plans", "Plans", table(headings, rows, numbers=frozenset({1, 2, 3, 4, 5})))


def _attempts(material: Material) -> str:
    tried = [record for record in material.records if record["attempt"]]
    rows = []
    for name, meaning in schema.choices("class"):
        mine = Counter(record["ruling"] for record in tried if record["attempt"]["class"] == name)
        if not mine:
            none = tag("span", f"{text(meaning)}, not in this run", class_="dim")
            rows.append((f"<b>{text(name)}</b> {none}", "", *[""] * len(RULINGS)))
            continue
        cells = [_count(mine[one], one) for one in RULINGS]
        rows.append((f"<b>{text(name)}</b> {text(meaning)}", text(mine.total()), *cells))
    total = Counter(record["ruling"] for record in tried)
    rows.append(("<b>all</b>", text(total.total()), *(_count(total[one], one) for one in RULINGS)))
    headings = ("class", "attempts", *(name.lower().replace("_", " ") for name in RULINGS))
    note = "Only BLOCKED passes: refused as expected, the same bytes got through a weakened machine, the twin worked."
    return _section("attempts", "Break-out attempts", table(headings, rows, numbers=_NUMBERS), note)


def _count(number: int, name: str) -> str:
    if not number:
        return ""
    kind = "good" if name == "BLOCKED" else "open" if name == "UNMEASURED" else "bad"
    return tag("b", text(number), class_=kind)


def _svf(material: Material) -> str:
    svf = material.summary["svf"]
    note = (
        f"{svf['seen']} events were seen in judged runs, {svf['missing']} were missing and {svf['unexpected']} were not"
        f" expected. {svf['types_covered']} of {svf['types_total']} event types and {svf['transitions_covered']} of"
        f" {svf['transitions_total']} transitions of the state machines were taken; the others are red and dashed."
    )
    untaken = svf.get("uncovered", ())
    listed = "".join(tag("li", tag("span", text(name), class_="mono")) for name in untaken)
    more = (
        tag("details", tag("summary", f"Never taken <span>{len(untaken)}</span>") + tag("ul", listed)) if listed else ""
    )
    picture = tag(
        "details", tag("summary", "State machines") + tag("div", material.picture, class_="picture"), open_=""
    )
    return _section("svf", "The record", picture + more, note)


def _sabotage(material: Material) -> str:
    if material.sabotage is None:
        note = "This run took no control away; a whole `tox -e drills` and `cordon drills sabotage` do."
        return _section("sabotage", "Sabotage", "", note)
    swept = material.sabotage
    note = (
        "Each control was taken away once, alone. At least one scenario that is green with it had to turn red without"
        f" it: {swept['caught']} of {swept['controls']} were noticed. Guards of the harness were shown a run that is"
        " wrong in one way, with and without the guard."
    )
    rows = []
    for row in swept["rows"]:
        what = f"<b>{text(row['control'])}</b><br>{tag('span', text(row['what']), class_='dim')}"
        tried = "".join(
            tag("span", f"{_link(material, name)} {ruling(value)}") for name, value in list(row["rulings"].items())[:6]
        )
        more = len(row["rulings"]) - 6
        tried += tag("span", f"and {more} more", class_="dim") if more > 0 else ""
        verdict = tag("span", "noticed", class_="ruling good") if row["caught"] else tag(
            "span", "NOBODY", class_="ruling bad")  # fmt: skip
        rows.append((what, text(row["kind"]), verdict, tag("div", tried, class_="chips"), _said(row["finding"])))
    rows += [
        (f"<b>{text(name)}</b>", "", tag("span", "not tried", class_="ruling bad"), "", "")
        for name in swept["missed"]
        if name not in {row["control"] for row in swept["rows"]}
    ]
    headings = ("control taken away", "where", "", "scenarios without it", "what was said")
    return _section("sabotage", "Sabotage", table(headings, rows, class_="stack", numbers=frozenset()), note)


def _said(finding: str) -> str:
    short = finding if len(finding) <= 140 else f"{finding[:137]}..."
    return tag("span", text(short), class_="dim")


def _link(material: Material, scenario: str) -> str:
    target = linked(material.pages, scenario)
    return tag("a", text(scenario), href=target) if target else text(scenario)


def _slowest(material: Material) -> str:
    slow = sorted(material.records, key=lambda record: -record["seconds"])[:SLOWEST]
    most = max((record["seconds"] for record in slow), default=0) or 1
    rows = [
        (_link(material, record["id"]), bar(record["seconds"] / most, "dim"), text(f"{record['seconds']:.1f}"))
        for record in slow
    ]
    note = "The first scenario of a batch carries the time of the machines all its members share."
    return _section("slowest", "Slowest scenarios", table(("scenario", "", "s"), rows, numbers=frozenset({2})), note)


def _trend(material: Material) -> str:
    if len(material.trend) < 2:
        return _section("trend", "Trend", "", "There is no earlier run to compare with.")
    rows = [
        (
            text(line["at"][:16].replace("T", " ")),
            text(line["engine"]),
            f"{text(line['scenarios']['passed'])}/{text(line['scenarios']['total'])}",
            f"{text(line['attempts']['blocked'])}/{text(line['attempts']['total'])}",
            "/".join(map(text, line["transitions"])),
            "/".join(map(text, line["sabotage"])) if line["sabotage"][1] else "-",
            text(_minutes(line["duration_s"])),
        )
        for line in reversed(material.trend[-10:])
    ]
    headings = ("run (UTC)", "engine", "passed", "blocked", "transitions", "sabotage", "took")
    body = chart.passed(material.trend[-30:]) + table(headings, rows, numbers=frozenset({2, 3, 4, 5, 6}))
    return _section("trend", "Trend", body)


def _unmeasured(material: Material) -> str:
    entries = material.summary["unmeasured"]
    if not entries:
        return ""
    rows = [(_link(material, name), text(reason)) for name, reason in entries.items()]
    note = "Counted, and never taken for a pass."
    return _section(
        "unmeasured", "Not measured here", table(("scenario", "why"), rows, class_="stack", numbers=frozenset()), note
    )


def _all(material: Material) -> str:
    plans: dict[str, list[Record]] = {}
    for record in material.records:
        plans.setdefault(record["plan"], []).append(record)
    parts = []
    meanings = dict(schema.choices("plan"))
    for plan in sorted(plans, key=lambda name: (name not in PLANS, name)):
        rows = [
            (
                _link(material, record["id"]) + "<br>" + tag("span", text(record["title"]), class_="dim"),
                ruling(record["ruling"]),
                text(f"{record['seconds']:.1f}"),
            )
            for record in sorted(
                plans[plan], key=lambda one: (one["good"] or bool(one["listed"]), one["good"], one["id"])
            )
        ]
        good = sum(record["good"] for record in plans[plan])
        told = f"{meanings.get(plan, '')}: {good} of {len(rows)} passed"
        head = tag("summary", f"{text(plan)} {tag('span', text(told))}")
        body = table(("scenario", "ruling", "s"), rows, numbers=frozenset({2}))
        shown = {"open_": ""} if any(not one["good"] and not one["listed"] for one in plans[plan]) else {}
        parts.append(tag("details", head + body, **shown))
    note = (
        "Each leads to its own page: what was asked, the decision with its reasons, the lease, the events, the plots."
    )
    return _section("all", "Every scenario", "".join(parts), note)


def _judged_with(summary: dict[str, Any]) -> str:
    facts = [("engine", summary["engine"])]
    facts += [(f"{name} digest", value) for name, value in sorted(summary["digests"].items())]
    facts += [("host", ", ".join(f"{name} {value}" for name, value in sorted(summary["host"].items())))]
    facts += [("versions", ", ".join(f"{name} {value}" for name, value in sorted(summary["versions"].items())))]
    for name, spread in summary["figures"].items():
        told = f"median {spread['p50']:.0f} ms of {spread['n']} ({spread['min']:.0f} to {spread['max']:.0f})"
        facts.append((name, told))
    inner = "".join(tag("dt", text(name)) + tag("dd", tag("span", text(value), class_="mono")) for name, value in facts)
    return _section("with", "Judged with", tag("dl", inner, class_="facts"))
