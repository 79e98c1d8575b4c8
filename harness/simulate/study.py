"""Studies: loads whose outcome is asserted, with controls under which the assertions must fail.

A control shows that a claim can fail: the same load with something taken away (no budget, a longer outage). A study
passes when every claim holds and every control breaks the claims it names.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness import schema
from harness.document import validate
from harness.document.scenario import STUDY
from harness.document.strict_yaml import Document, load_documents, path_text
from harness.errors import Place, Problem, ScenarioError
from harness.judgement.judge import Finding, Judgement
from harness.simulate.figures import lookup
from harness.simulate.load import SCHEMA as LOAD
from harness.simulate.load import Load
from harness.simulate.load_file import build
from harness.simulate.run import simulate

PLAN: Final = "capacity"


@dataclass(frozen=True, slots=True)
class Claim:
    """A bound on one figure; None: none on that side."""

    figure: str
    at_most: float | None = None
    at_least: float | None = None

    def broken(self, found: Mapping[str, Any]) -> str:
        """Why it does not hold in `found`; empty when it does."""
        try:
            value = lookup(found, self.figure)
        except KeyError as error:
            return str(error.args[0])
        if self.at_most is not None and value > self.at_most:
            return f"{self.figure} is {value:g}, at most {self.at_most:g} was expected"
        if self.at_least is not None and value < self.at_least:
            return f"{self.figure} is {value:g}, at least {self.at_least:g} was expected"
        return ""


@dataclass(frozen=True, slots=True)
class Control:
    """The load with something changed, and the claims that must fail then."""

    why: str
    load: Load
    fails: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """One study."""

    id: str
    title: str
    description: str
    load: Load
    claims: tuple[Claim, ...]
    controls: tuple[Control, ...]
    place: Place
    text: str
    plan: str = PLAN
    tags: tuple[str, ...] = ()
    breakout: None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    """Always empty: virtual time runs everywhere."""


def parse_file(path: Path, *, name: str) -> list[Study]:
    """The studies among the documents of a file, `name` in messages; raises `ScenarioError` with every mistake."""
    text = path.read_text(encoding="utf-8")
    if STUDY not in text:
        return []
    found: list[Study] = []
    problems: list[Problem] = []
    for document in load_documents(text, name):
        if isinstance(document.value, dict) and document.value.get("schema") == STUDY:
            try:
                found.append(_parse(document, text.splitlines(), path.parent))
            except ScenarioError as error:
                problems += error.problems
    if problems:
        raise ScenarioError(problems)
    return found


def judge(study: Study) -> tuple[Judgement, list[tuple[str, dict[str, Any]]]]:
    """Run the load and its controls; the ruling, and (what, figures) of each run."""
    found, _ = simulate(study.load)
    runs = [("the load", found)]
    broken = {claim.figure: why for claim in study.claims if (why := claim.broken(found))}
    findings = [Finding("attempt", "expectation", why) for why in broken.values()]
    for control in study.controls:
        changed, _ = simulate(control.load)
        runs.append((control.why, changed))
        holds = {claim.figure for claim in study.claims if not claim.broken(changed)}
        findings += [
            Finding("positive", "expectation", f"{control.why}: the claim on {figure} holds all the same")
            for figure in control.fails
            if figure in holds
        ]
    ruling = {finding.role for finding in findings}
    if "attempt" in ruling:
        return Judgement("FAILED", tuple(findings)), runs
    return Judgement("VACUOUS" if ruling else "PASSED", tuple(findings)), runs


def _parse(document: Document, lines: list[str], folder: Path) -> Study:
    if problems := validate.problems(document, schema.STUDY):
        raise ScenarioError(problems)
    raw = document.value
    whole = {"schema": LOAD, "id": raw["id"], "title": raw["title"], **raw["load"]}
    claims = tuple(Claim(**claim) for claim in raw["expect"])
    known = tuple(claim.figure for claim in claims)
    controls = []
    for number, entry in enumerate(raw["controls"]):
        where = ("controls", number)
        for at, name in enumerate(entry["fails"]):
            if name not in known:
                raise _wrong(document, (*where, "fails", at), f"{name} is no figure of expect", known)
        changed = copy.deepcopy(whole)
        for path, value in entry["change"].items():
            if not _set(changed, path.split("."), value):
                raise _wrong(document, (*where, "change", path), "the load has no such field")
        controls.append(Control(entry["why"], _load(document, changed, folder), tuple(entry["fails"])))
    return Study(
        id=raw["id"],
        title=raw["title"],
        description=raw["description"].strip(),
        load=_load(document, whole, folder),
        claims=claims,
        controls=tuple(controls),
        place=document.place,
        text="\n".join(lines[document.place.line - 1 : document.last_line]),
    )


def _load(document: Document, raw: Mapping[str, Any], folder: Path) -> Load:
    """The load `raw`; mistakes are told where it stands in the study."""
    inner = Document(
        raw,
        document.place_of(("load",)),
        document.last_line,
        {path[1:]: place for path, place in document.values.items() if path[:1] == ("load",)},
        {path[1:]: place for path, place in document.keys.items() if path[:1] == ("load",)},
    )
    if problems := validate.problems(inner, schema.LOAD):
        raise ScenarioError(problems)
    return build(inner, raw, (), folder)


def _set(tree: Any, path: list[str], value: Any) -> bool:
    """Set the value at `path` in `tree`, or take it away for None; whether there is such a place."""
    *parents, last = path
    try:
        for name in parents:
            tree = tree[int(name)] if isinstance(tree, list) else tree[name]
        if value is not None:
            tree[int(last) if isinstance(tree, list) else last] = value
        elif isinstance(tree, list):
            del tree[int(last)]
        else:
            del tree[last]
    except (KeyError, IndexError, ValueError, TypeError):
        return False
    return True


def _wrong(
    document: Document, path: tuple[str | int, ...], message: str, allowed: tuple[str, ...] = ()
) -> ScenarioError:
    return ScenarioError([Problem(document.place_of(path), path_text(path), message, allowed)])
