"""One run against what its scenario expects of it: verdict, reasons, effect, ends and outputs."""

from __future__ import annotations

from collections.abc import Iterator

from executor.outcome import Outcome
from harness.document.expect import Expect
from harness.judgement.probe import output, signal_name


def differences(expect: Expect, outcome: Outcome) -> tuple[str, ...]:
    """Every way in which `outcome` is not what `expect` says, as `field: words`; the trail is judged elsewhere."""
    return (*_answers(expect, outcome), *_ends(expect, outcome), *_outputs(expect, outcome))


def looks_like(expect: Expect, outcome: Outcome) -> bool:
    """Whether what came of a run is all that `expect` asks of effect and outputs: an attempt that got through does."""
    return outcome.effect == expect.effect and not any((*_ends(expect, outcome), *_outputs(expect, outcome)))


def _answers(expect: Expect, outcome: Outcome) -> Iterator[str]:
    if outcome.verdict != expect.verdict:
        yield f"verdict: expected {expect.verdict}, got {outcome.verdict}"
    missing = sorted(set(expect.reasons) - set(outcome.reasons))
    surplus = sorted(set(outcome.reasons) - set(expect.reasons))
    if missing:
        yield f"reasons: missing {', '.join(missing)}"
    if surplus:
        yield f"reasons: unexpected {', '.join(surplus)}"
    if outcome.effect != expect.effect:
        yield f"effect: expected {expect.effect}, got {outcome.effect}"


def _ends(expect: Expect, outcome: Outcome) -> Iterator[str]:
    last = outcome.results[-1] if outcome.results else None
    if expect.exit_code is not None and (last is None or last.exit_code != expect.exit_code):
        yield f"exit_code: expected {expect.exit_code}, got {last.exit_code if last else 'no command that ended'}"
    if expect.signal is not None:
        seen = signal_name(last.signal) if last and last.signal else "none"
        if seen != expect.signal:
            yield f"signal: expected {expect.signal}, got {seen}"
    if expect.cause is not None and (last is None or last.cause != expect.cause):
        yield f"cause: expected {expect.cause}, got {last.cause if last else 'no command that ended'}"


def _outputs(expect: Expect, outcome: Outcome) -> Iterator[str]:
    for stream, match in (("stdout", expect.stdout), ("stderr", expect.stderr)):
        if match and (complaint := match.complaint(output(outcome, stream))):
            yield f"{stream}: {complaint}"
    for path, match in expect.files.items():
        found = [file for file in outcome.files if file.path == path]
        if not found:
            yield f"files.{path}: was not handed back"
        elif found[0].refused:
            yield f"files.{path}: was refused: {found[0].refused}"
        elif complaint := match.complaint(found[0].content.decode("utf-8", "replace")):
            yield f"files.{path}: {complaint}"
    for path in expect.withheld:
        handed = [file for file in outcome.files if file.path == path and not file.refused]
        if handed:
            yield f"withheld: {path} was handed back, {len(handed[0].content)} bytes"
        elif not any(file.path == path for file in outcome.files):
            yield f"withheld: nothing is said of {path}"
