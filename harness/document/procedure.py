"""A `cordon.procedure/1` document parsed (format: harness/schema/procedure.schema.json): a drill that is no request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from executor.errors import InvalidInputError
from executor.svf import machine
from harness import procedures
from harness.document.expect import Refusal
from harness.document.scenario import Breakout
from harness.document.strict_yaml import Document, path_text
from harness.document.validate import problems as schema_problems
from harness.document.validate import suggest
from harness.errors import Place, Problem, ScenarioError
from harness.judgement.facts import REFUSAL, Matcher
from harness.procedures import Registered

SCHEMA: Final = "cordon.procedure/1"
_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """What one call must come to."""

    facts: Mapping[str, Matcher]
    events: tuple[Any, ...] | None = ()
    """Patterns of event types in order; None: not judged (a positive control that says nothing of them)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One way in which the procedure is called."""

    arguments: Mapping[str, Any]
    expect: Expected
    weaken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Procedure:
    """One drill."""

    id: str
    title: str
    plan: str
    description: str
    called: Registered
    attempt: Call
    place: Place
    text: str
    """The YAML lines of the document, for the failure message."""
    tags: tuple[str, ...] = ()
    breakout: Breakout | None = None
    positive: Call | None = None
    twin: Call | None = None
    notices: frozenset[str] = frozenset()
    """Controls whose absence it must notice, beside those its positive control takes away (harness/sabotage)."""
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    """Engine -> why it cannot be tried there."""


def parse(document: Document, lines: list[str]) -> Procedure:
    """The procedure; raises `ScenarioError` with every mistake."""
    if found := schema_problems(document):
        raise ScenarioError(found)
    return _Reader(document).read(lines)


class _Reader:
    """Collects what the schema cannot say, each problem at its place."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._raw: dict[str, Any] = document.value
        self._found: list[Problem] = []

    def read(self, lines: list[str]) -> Procedure:
        raw, document = self._raw, self._document
        called = procedures.find(raw["procedure"])
        if called is None:
            known = procedures.names()
            text = f"there is no procedure {raw['procedure']}{suggest(raw['procedure'], known)}"
            where = ("procedure",)
            raise ScenarioError([Problem(document.place_of(where), path_text(where), text, known)])
        breakout = self._breakout(raw.get("breakout"))
        stopped = str(breakout.refusal) if breakout else None
        given = raw.get("arguments", {})
        controls = raw.get("controls", {})
        calls = [self._call(called, (), raw, given, refusal=stopped)]
        for name in ("positive", "twin"):
            if name in controls:
                inner = {**given, **controls[name].get("arguments", {})}
                refusal = None if breakout is None else ""
                calls.append(self._call(called, ("controls", name), controls[name], inner, refusal=refusal))
        if self._found:
            raise ScenarioError(self._found)
        attempt, *rest = calls
        named = dict(zip((name for name in ("positive", "twin") if name in controls), rest, strict=True))
        unmeasured = {entry["engine"]: entry["reason"] for entry in raw.get("unmeasured", ())}
        if called.unsimulated:
            unmeasured.setdefault("sim", called.unsimulated)
        return Procedure(
            id=raw["id"],
            title=raw["title"],
            plan=raw["plan"],
            description=raw["description"].strip(),
            called=called,
            attempt=attempt,
            place=document.place,
            text="\n".join(lines[document.place.line - 1 : document.last_line]),
            tags=tuple(raw.get("tags", ())),
            breakout=breakout,
            positive=named.get("positive"),
            twin=named.get("twin"),
            notices=frozenset(raw.get("notices", ())),
            unmeasured=unmeasured,
        )

    @staticmethod
    def _breakout(raw: dict[str, Any] | None) -> Breakout | None:
        if raw is None:
            return None
        ((kind, value),) = raw["refusal"].items()
        return Breakout(raw["class"], raw["mechanism"], Refusal(kind, value))

    def _call(
        self, called: Registered, path: _Path, raw: dict[str, Any], given: Mapping[str, Any], *, refusal: str | None
    ) -> Call:
        for name, message in called.complaints(given):
            where = (*path, "arguments", name) if name in raw.get("arguments", {}) else (*path, "procedure")
            self._add(where, message)
        if path == ("controls", "positive") and not {"weaken", "arguments"} & set(raw):
            self._add(path, "must take something away: weaken, or other arguments")
        facts = {} if refusal is None else {REFUSAL: Matcher.parse(refusal)}
        for name, matcher in raw["expect"]["facts"].items():
            try:
                facts[name] = Matcher.parse(matcher)
            except ValueError as error:
                self._add((*path, "expect", "facts", name), str(error))
        patterns = raw["expect"].get("events")
        if patterns is not None:
            try:
                machine.match_trail((), patterns)
            except InvalidInputError as error:
                self._add((*path, "expect", "events"), str(error))
        unsaid: tuple[Any, ...] | None = None if path == ("controls", "positive") else ()
        events = unsaid if patterns is None else tuple(patterns)
        return Call(given, Expected(facts, events), frozenset(raw.get("weaken", ())))

    def _add(self, path: _Path, message: str) -> None:
        self._found.append(Problem(self._document.place_of(path), path_text(path), message))
