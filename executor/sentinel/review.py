"""CP14's review of an intent: no secret in anything it brings along, no forbidden pattern, no unreadable patch.

What is read: file contents, the patch (added lines, and whatever is outside its hunks), command lines, environment.
The verdict, first rule that holds: 1. ERROR when the scanner failed, 2. FAIL for a secret or a patch that cannot be
read, 3. FAIL for a forbidden pattern, unless the policies waive patterns for this requester and phase (the red team's
drills are made of them): then it is noted only, 4. PASS. No finding tells the text it is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from executor.errors import InvalidInputError
from executor.intent import FileIn, Intent
from executor.sentinel import validation
from executor.sentinel.change import Added, read_change
from executor.sentinel.disguise import Reading, readings
from executor.sentinel.patterns import PatternRules, PatternSet, Place
from executor.sentinel.scanner import KingfisherScanner, ScannerError, SecretScanner
from executor.sentinel.verdict import MAX_FINDINGS, Finding, Review, ReviewVerdict, approval, finding

__all__ = ["Finding", "Review", "ReviewVerdict", "Sentinel", "approval"]

ACTOR: Final = "cp14"


@dataclass(frozen=True, slots=True)
class _Document:
    """A text under review. `lines` maps its lines to those of the place it stands for; None: they are the same."""

    place: Place
    path: str
    content: bytes
    lines: Added | None = None

    def line(self, number: int) -> int:
        return self.lines.line(number) if self.lines else number


class Sentinel:
    """Reviews intents. Holds the scanner's process: close it, or use it as a context manager. Threads may share one."""

    def __init__(self, *, patterns: PatternRules, scanner: SecretScanner | None = None, holder: str = ACTOR) -> None:
        """`patterns` come from the policies (`patterns.load`); `holder` is who holds cp14's key."""
        self._patterns = PatternSet(patterns.patterns)
        self._waivers = patterns.waivers
        self._scanner = scanner or KingfisherScanner()
        self._holder = holder

    def start(self) -> None:
        """Let the scanner load in the background; the first review then need not wait for it."""
        if isinstance(self._scanner, KingfisherScanner):
            self._scanner.start()

    def review(self, intent: Intent) -> Review:
        """Review `intent`; never raises for what is in it. ERROR when the scanner could not do its work."""
        files, patch = _files_and_patch(intent)
        documents, objections = _patch_documents(patch)
        documents = [*_own_documents(intent, files), *documents]
        matches = [match for document in documents for match in self._forbidden(document)]
        try:
            for document in documents:
                objections += self._secrets(document)
        except ScannerError as error:
            failure = finding("secret", "scanner.failed", "", 0, str(error))
            return Review(ACTOR, "ERROR", _first([failure, *objections, *matches]), self._holder)
        waived = (intent.requester, intent.phase) in self._waivers
        verdict: ReviewVerdict = "FAIL" if objections or (matches and not waived) else "PASS"
        return Review(ACTOR, verdict, _first([*objections, *matches]), self._holder)

    def close(self) -> None:
        """End the scanner; a second call is silent."""
        self._scanner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _forbidden(self, document: _Document) -> Iterator[Finding]:
        text = document.content.decode(errors="replace")
        for pattern, line in self._patterns.matches(document.place, text):
            yield finding("pattern", pattern.id, document.path, document.line(line), pattern.message)

    def _secrets(self, document: _Document) -> Iterator[Finding]:
        others: list[Reading | None] = [None, *readings(document.content)]
        seen: set[tuple[str, int]] = set()
        for reading in others:
            for hit in self._scanner.scan(reading.content if reading else document.content):
                place = (hit.rule, reading.line(hit.line) if reading else hit.line)
                if place not in seen:
                    seen.add(place)
                    message = f"{hit.title} ({hit.length} characters, not shown)"
                    yield finding("secret", hit.rule, document.path, document.line(place[1]), message)


def _files_and_patch(intent: Intent) -> tuple[tuple[FileIn, ...], str]:
    """The files, and the patch. In cp18's own intents the patch travels as a file and is still read as a patch."""
    if intent.requester != validation.ACTOR or intent.patch:
        return intent.files, intent.patch
    patches = [file.content.decode(errors="replace") for file in intent.files if file.path == validation.PATCH_FILE]
    others = tuple(file for file in intent.files if file.path != validation.PATCH_FILE)
    return (others, patches[0]) if len(patches) == 1 else (intent.files, "")


def _own_documents(intent: Intent, files: tuple[FileIn, ...]) -> Iterator[_Document]:
    for file in files:
        yield _Document("files", file.path, file.content)
    for number, command in enumerate(intent.commands):
        yield _Document("commands", f"commands[{number}]", " ".join(command.argv).encode(errors="replace"))
    for name, value in intent.env.items():
        yield _Document("env", f"env.{name}", f"{name}={value}".encode(errors="replace"))


def _patch_documents(patch: str) -> tuple[list[_Document], list[Finding]]:
    """The patch's texts, and what speaks against the patch as such. One that cannot be taken apart is read whole."""
    if not patch:
        return [], []
    try:
        change = read_change(patch)
    except InvalidInputError as error:
        objection = finding("pattern", "patch.unreadable", "patch", 0, str(error))
        return [_Document("patch", "patch", patch.encode(errors="replace"))], [objection]
    texts = (*change.added, change.outside)
    documents = [_Document("patch", text.path, text.text.encode(errors="replace"), text) for text in texts]
    if change.binary:
        return documents, [finding("pattern", "patch.binary", "patch", 0, "a binary change cannot be reviewed")]
    return documents, []


def _first(findings: list[Finding]) -> tuple[Finding, ...]:
    """Each finding once, in order, at most as many as a record should hold."""
    return tuple(dict.fromkeys(findings))[:MAX_FINDINGS]
