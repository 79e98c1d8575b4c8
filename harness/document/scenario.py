"""Scenarios: YAML files parsed at collection into frozen values with their places, or every mistake at once.

Order of checks: strict YAML, the published schema, what the schema cannot say (contradictions, expressions, sources,
unknown signals), the intent by the executor's own parser. What is returned can be run as it is.
"""

from __future__ import annotations

import base64
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from executor.api import LeaseLife
from executor.errors import InvalidInputError
from executor.intent import Command, FileIn, Intent
from executor.intent_parse import parse_commands
from harness.document import batch
from harness.document.expect import Expect, Refusal, contradictions
from harness.document.strict_yaml import Document, load_documents, path_text
from harness.document.validate import problems as schema_problems
from harness.document.validate import suggest
from harness.errors import Place, Problem, ScenarioError
from harness.judgement import trail

if TYPE_CHECKING:
    from harness.document.procedure import Procedure

SCHEMA: Final = "cordon.scenario/1"
STUDY: Final = "cordon.study/1"
MAX_SOURCE: Final = 1024 * 1024
"""Bytes of a `source` file: probes are small."""


@dataclass(frozen=True, slots=True)
class Breakout:
    """Makes a scenario a break-out attempt."""

    class_: str
    mechanism: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Positive:
    """The same bytes in a weakened VM, where they must succeed."""

    weaken: frozenset[str]
    expect: Expect


@dataclass(frozen=True, slots=True)
class Twin:
    """A harmless sibling of the attempt, which must work."""

    commands: tuple[Command, ...]
    files: tuple[FileIn, ...] | None
    """None: the intent's own."""
    expect: Expect
    env: dict[str, str] | None = None
    """None: the intent's own."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One drill."""

    id: str
    title: str
    plan: str
    description: str
    intent: Intent
    """Its `intent_id` is a placeholder: each run takes a fresh one."""
    expect: Expect
    place: Place
    text: str
    """The YAML lines of the document, for the failure message."""
    tags: tuple[str, ...] = ()
    attempt: tuple[Command, ...] | None = None
    approvals: tuple[str, ...] = ("cp14",)
    tamper: dict[str, Any] = field(default_factory=dict)
    life: LeaseLife = field(default_factory=LeaseLife)
    breakout: Breakout | None = None
    positive: Positive | None = None
    twin: Twin | None = None
    without: frozenset[str] = frozenset()
    """Controls taken away in every run: layers that have failed already, to show that the next one holds."""
    notices: frozenset[str] = frozenset()
    """Controls whose absence it must notice, beside those its positive control takes away (harness/sabotage)."""
    unmeasured: dict[str, str] = field(default_factory=dict)
    """Engine -> why the scenario cannot be tried there."""
    member: batch.Member | None = None
    """Its place in a batch, for one that shares its runs (harness/document/batch.py)."""


Drill: TypeAlias = "Scenario | Procedure"
"""What a document describes: a request taken down the path, or a procedure of the harness."""


def parse_file(path: Path, *, name: str | None = None) -> list[Drill]:
    """The drills of a file; raises `ScenarioError` with every mistake. `name` is what messages call the file."""
    label = name or str(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8"
        raise ScenarioError([Problem(Place(label, 1, 1), "", message)]) from None
    return parse_text(text, label, path.parent)


def parse_text(text: str, file: str, folder: Path) -> list[Drill]:
    """The drills in `text`, called `file` in messages; `source` files are looked for in `folder`."""
    documents = load_documents(text, file)
    if not documents:
        raise ScenarioError([Problem(Place(file, 1, 1), "", "holds no scenario")])
    found: list[Problem] = []
    scenarios: list[Drill] = []
    lines = text.splitlines()
    for document in documents:
        try:
            scenarios += _parse_any(document, lines, folder)
        except ScenarioError as error:
            found += error.problems
    seen: dict[str, Place] = {}
    for scenario in scenarios:
        first = seen.setdefault(scenario.id, scenario.place)
        if first is not scenario.place:
            found.append(Problem(scenario.place, "id", f"{scenario.id} is taken; first at {first}"))
    if found:
        raise ScenarioError(found)
    return scenarios


def _parse_any(document: Document, lines: list[str], folder: Path) -> Sequence[Drill]:
    from harness.document import breakouts, procedure  # noqa: PLC0415 - they are made of the values defined here

    schema = document.value.get("schema") if isinstance(document.value, dict) else None
    if schema == STUDY:
        return ()  # it needs no machine and asks for nothing: harness/simulate/study.py
    if schema == batch.SCHEMA:
        return breakouts.parse(document, lines, folder)
    if schema == procedure.SCHEMA:
        return [procedure.parse(document, lines)]
    return [_parse(document, lines, folder)]


def _parse(document: Document, lines: list[str], folder: Path) -> Scenario:
    if found := schema_problems(document):
        raise ScenarioError(found)
    raw: dict[str, Any] = document.value
    checker = Checker(document)
    checker.expectations(raw)
    intent = checker.intent(raw["intent"], folder)
    twin = checker.twin(raw, folder)
    attempt = checker.commands(raw, ("attempt", "commands")) if "attempt" in raw else None
    if checker.found or intent is None:
        raise ScenarioError(checker.found)
    positive = raw.get("controls", {}).get("positive")
    return Scenario(
        id=raw["id"],
        title=raw["title"],
        plan=raw["plan"],
        description=raw["description"].strip(),
        intent=intent,
        expect=Expect.parse(raw["expect"]),
        place=document.place,
        text="\n".join(lines[document.place.line - 1 : document.last_line]),
        tags=tuple(raw.get("tags", ())),
        attempt=attempt,
        approvals=tuple(raw.get("approvals", ("cp14",))),
        tamper=raw.get("tamper", {}),
        life=_life(raw.get("lease", {})),
        breakout=_breakout(raw.get("breakout")),
        positive=Positive(frozenset(positive["weaken"]), Expect.parse(positive["expect"])) if positive else None,
        twin=twin,
        without=frozenset(raw.get("without", ())),
        notices=frozenset(raw.get("notices", ())),
        unmeasured={entry["engine"]: entry["reason"] for entry in raw.get("unmeasured", ())},
    )


def _life(raw: Mapping[str, Any]) -> LeaseLife:
    return LeaseLife(**{**raw, "before_use": tuple(raw.get("before_use", ()))})


def _breakout(raw: dict[str, Any] | None) -> Breakout | None:
    if raw is None:
        return None
    ((kind, value),) = raw["refusal"].items()
    return Breakout(raw["class"], raw["mechanism"], Refusal(kind, value))


class Checker:
    """Collects what the schema cannot say; each problem at its place."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.found: list[Problem] = []

    def add(self, path: tuple[str | int, ...], message: str) -> None:
        """One mistake at its place."""
        self.found.append(Problem(self._document.place_of(path), path_text(path), message))

    def expectations(self, raw: dict[str, Any]) -> None:
        """What is expected of the runs must be possible."""
        controls = raw.get("controls", {})
        places: list[tuple[tuple[str, ...], dict[str, Any]]] = [(("expect",), raw["expect"])]
        places += [(("controls", name, "expect"), controls[name]["expect"]) for name in controls]
        for path, expect in places:
            ignored = path[:2] == ("controls", "positive") and "policy" in controls["positive"]["weaken"]
            ignored = ignored or "policy" in raw.get("without", ())
            for name, message in contradictions(expect, overridden=ignored):
                self.add((*path, name), message)
            self._signal((*path, "signal"), expect.get("signal"))
            self._trail((*path, "trail"), expect)
            for where, match in self._matches(path, expect):
                self._regex((*where, "matches"), match.get("matches"))
        self._signal(("breakout", "refusal", "signal"), raw.get("breakout", {}).get("refusal", {}).get("signal"))
        if "positive" in controls and not self._tells_success(controls["positive"]["expect"]):
            self.add(("controls", "positive", "expect"), "must say what success looks like: stdout, stderr or files")

    @staticmethod
    def _tells_success(expect: dict[str, Any]) -> bool:
        return bool({"stdout", "stderr", "files"} & set(expect)) or expect["effect"] != "completed"

    @staticmethod
    def _matches(path: tuple[str, ...], expect: dict[str, Any]) -> list[tuple[tuple[str, ...], dict[str, str]]]:
        found = [((*path, name), expect[name]) for name in ("stdout", "stderr") if name in expect]
        return found + [((*path, "files", name), match) for name, match in expect.get("files", {}).items()]

    def _regex(self, path: tuple[str, ...], pattern: str | None) -> None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            self.add(path, f"is no regular expression: {error}")

    def _trail(self, path: tuple[str, ...], expect: dict[str, Any]) -> None:
        named = expect.get("trail", "executed")
        if text := trail.complaint(named if isinstance(named, str) else tuple(named["events"])):
            self.add(path, text)

    def refusal(self, path: tuple[str | int, ...], name: str | None) -> None:
        """A refusal's signal must be one."""
        self._signal(path, name)

    def _signal(self, path: tuple[str | int, ...], name: str | None) -> None:
        if name is not None and name not in signal.Signals.__members__:
            known = tuple(sorted(signal.Signals.__members__))
            self.found.append(
                Problem(
                    self._document.place_of(path), path_text(path), f"{name} is no signal{suggest(name, known)}", known
                )
            )

    def intent(self, raw: dict[str, Any], folder: Path) -> Intent | None:
        """The intent by the executor's own parser."""
        data = {**raw, "intent_id": "drill"}
        if "files" in raw:
            data["files"] = self._sources(raw["files"], ("intent", "files"), folder)
        try:
            return Intent.parse(data)
        except InvalidInputError as error:
            self._from_executor(str(error), "intent", ("intent",))
            return None

    def commands(self, raw: dict[str, Any], path: tuple[str, ...]) -> tuple[Command, ...] | None:
        """The commands at `path` by the executor's own parser."""
        for name in path:
            raw = raw[name]
        where = path_text(path)
        try:
            return parse_commands(raw, where)
        except InvalidInputError as error:
            self._from_executor(str(error), where, path)
            return None

    def twin(self, raw: dict[str, Any], folder: Path) -> Twin | None:
        """The harmless twin, where there is one."""
        path = ("controls", "twin")
        twin = raw.get("controls", {}).get("twin")
        if twin is None:
            return None
        files = None
        if "files" in twin:
            data = {"intent_id": "drill", "requester": "drill", "commands": [{"argv": ["true"]}]}
            data["files"] = self._sources(twin["files"], (*path, "files"), folder)
            try:
                files = Intent.parse(data).files
            except InvalidInputError as error:
                self._from_executor(str(error), "intent", path)
        commands = self.commands(raw, (*path, "commands"))
        if self.found or commands is None:
            return None
        return Twin(commands, files, Expect.parse(twin["expect"]), twin.get("env"))

    def _from_executor(self, message: str, prefix: str, path: tuple[str | int, ...]) -> None:
        """Place a message of the executor's parser, which starts with the field's path."""
        field_text, _, rest = message.partition(": ")
        below = field_text.removeprefix(prefix)
        for part in re.findall(r"\[(\d+)\]|\.?([^.\[\]]+)", below):
            path = (*path, int(part[0]) if part[0] else part[1])
        self.add(path, rest or message)

    def _sources(self, files: list[dict[str, Any]], path: tuple[str | int, ...], folder: Path) -> list[dict[str, Any]]:
        """The files with each `source` replaced by the content it names."""
        result = []
        for number, entry in enumerate(files):
            if "source" not in entry:
                result.append(entry)
                continue
            plain = {key: value for key, value in entry.items() if key != "source"}
            where = (*path, number, "source")
            source = (folder / entry["source"]).resolve()
            if {"text", "base64"} & set(entry):
                self.add(where, "give the content as one of text, base64 and source")
            elif not source.is_relative_to(folder.resolve()):
                self.add(where, "leaves the scenario's folder")
            elif not source.is_file():
                self.add(where, f"there is no file {entry['source']} beside the scenario")
            elif source.stat().st_size > MAX_SOURCE:
                self.add(where, f"{source.stat().st_size} bytes are over {MAX_SOURCE}")
            else:
                plain["base64"] = base64.b64encode(source.read_bytes()).decode()
            result.append({"base64": "", **plain})
        return result


def for_twin(scenario: Scenario, twin: Twin) -> Intent:
    """The intent of the harmless twin: the scenario's own with the twin's commands and files."""
    files = scenario.intent.files if twin.files is None else twin.files
    env = scenario.intent.env if twin.env is None else twin.env
    return replace(scenario.intent, commands=twin.commands, files=files, env=env)
