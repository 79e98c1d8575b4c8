"""CP18's validation of a patch: which commands apply it and run the change's own tests, and what their results say.

Pure: the executor runs the plan in a sandbox VM like any other intent's commands (same lease rules, same limits), and
hands the results to `judge`. Nothing of a change is ever applied or run on the host.

The plan, in this order; the first command that does not end with 0 fails the validation:

1. `patch` applies the change, as a unified diff and nothing else, without asking, without fuzz and without backups,
2. Python files among the intent's and the change's are compiled,
3. the tests: of `make test` (a Makefile that has the target), each `test_*.py` and `*_test.py`, each `test_*.sh`
   and `*_test.sh`, in the order of their names.

A change to code that comes without any test fails: there is nothing to validate it by. A change to prose alone
(`PROSE`) only has to apply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from executor.errors import InvalidInputError
from executor.intent import Command, FileIn, Intent
from executor.outcome import CommandResult
from executor.sentinel.change import Change, read_change
from executor.sentinel.verdict import MAX_FINDINGS, Finding, Review, finding

ACTOR: Final = "cp18"
WORKSPACE: Final = "/workspace"
PATCH_FILE: Final = f"{WORKSPACE}/.cordon-change.diff"
PROSE: Final = frozenset({".md", ".rst", ".txt", ".adoc"})
CAPABILITIES: Final = {"python3": "dev:python", "make": "dev:compiler"}
"""What a plan's programs need beyond base:execute."""
RUNNER: Final = Path(__file__).with_name("run_tests.py").read_text("utf-8")
"""The sandbox's Python has no pytest; this runs plain test functions too, and an empty file is not a pass."""
_TESTS: Final = re.compile(r"(?:test_[^/]*|[^/]*_test)\.(py|sh)")
_TARGET: Final = re.compile(r"(?m)^test\s*:(?!=)")
_TOLD: Final = 160
"""Characters of a failed command's last line of output that a finding repeats."""


def needed(intent: Intent) -> bool:
    """Whether there is anything for cp18 to do."""
    return bool(intent.patch)


def files(intent: Intent) -> tuple[FileIn, ...]:
    """What lies in the workspace before the plan runs: the intent's files and the change itself."""
    return (*intent.files, FileIn(PATCH_FILE, intent.patch.encode(errors="replace")))


def plan(intent: Intent) -> tuple[Command, ...]:
    """The commands that validate `intent`'s patch; empty when there is none, or none that can be read (`judge`)."""
    try:
        change = read_change(intent.patch) if intent.patch else None
    except InvalidInputError:
        return ()
    return (_apply(change), *_compile(intent, change), *_tests(intent, change)) if change else ()


def capabilities(intent: Intent) -> tuple[str, ...]:
    """The capabilities the plan's run needs."""
    programs = {command.argv[0] for command in plan(intent)}
    return ("base:execute", *sorted({CAPABILITIES[name] for name in programs if name in CAPABILITIES}))


def judge(intent: Intent, results: Sequence[CommandResult], *, holder: str = ACTOR) -> Review:
    """What the plan's `results` say of `intent`'s patch: PASS only when every command ran and ended with 0.

    ERROR when fewer results came than commands were to run although none failed: the machine or the path broke.
    """
    if not intent.patch:
        return Review(ACTOR, "PASS", (), holder)
    try:
        change = read_change(intent.patch)
    except InvalidInputError as error:
        return Review(ACTOR, "FAIL", (finding("test", "patch.unreadable", "patch", 0, str(error)),), holder)
    commands = plan(intent)
    if not _tests(intent, change) and not _prose_only(change):
        nothing = finding("test", "test.none", "patch", 0, "the change brings no test and there is none for it")
        return Review(ACTOR, "FAIL", (nothing,), holder)
    findings = [_failure(command, result) for command, result in zip(commands, results, strict=False) if _bad(result)]
    if findings:
        return Review(ACTOR, "FAIL", tuple(findings[:MAX_FINDINGS]), holder)
    if len(results) != len(commands) or any(
        command.argv != result.argv for command, result in zip(commands, results, strict=True)
    ):
        short = finding("test", "test.incomplete", "", 0, f"{len(results)} of {len(commands)} commands have a result")
        return Review(ACTOR, "ERROR", (short,), holder)
    return Review(ACTOR, "PASS", (), holder)


def _apply(change: Change) -> Command:
    options = ("--unified", "--batch", "--forward", "--fuzz=0", "--no-backup-if-mismatch", "--reject-file=-")
    return Command(("patch", *options, "-p1" if change.prefixed else "-p0", f"--input={PATCH_FILE}"), WORKSPACE)


def _compile(intent: Intent, change: Change) -> list[Command]:
    found = sorted(path for path in _paths(intent, change) if path.endswith(".py"))
    code = "import sys; [compile(open(name, 'rb').read(), name, 'exec') for name in sys.argv[1:]]"
    return [Command(("python3", "-I", "-c", code, *found), WORKSPACE)] if found else []


def _tests(intent: Intent, change: Change) -> list[Command]:
    commands = [Command(("make", "test"), WORKSPACE)] if _has_target(intent, change) else []
    for path in sorted(_paths(intent, change)):
        if kind := _TESTS.fullmatch(PurePosixPath(path).name):
            runner = ("python3", "-B", "-c", RUNNER) if kind.group(1) == "py" else ("sh",)
            commands.append(Command((*runner, path), WORKSPACE))
    return commands


def _has_target(intent: Intent, change: Change) -> bool:
    texts = [file.content.decode(errors="replace") for file in intent.files if file.path == f"{WORKSPACE}/Makefile"]
    texts += [added.text for added in change.added if added.path == "Makefile"]
    return any(_TARGET.search(text) for text in texts)


def _paths(intent: Intent, change: Change) -> set[str]:
    """Files that are there once the change is applied, relative to the workspace."""
    own = {file.path.removeprefix(f"{WORKSPACE}/") for file in intent.files if file.path.startswith(f"{WORKSPACE}/")}
    return {path for path in (own - change.gone) | set(change.paths) if _plain(path.split("/"))}


def _plain(parts: Iterable[str]) -> bool:
    return all(part not in {"", ".", ".."} and not part.startswith("-") for part in parts)


def _prose_only(change: Change) -> bool:
    return all(PurePosixPath(path).suffix.lower() in PROSE for path in {*change.paths, *change.gone})


def _bad(result: CommandResult) -> bool:
    return result.cause != "exited" or result.exit_code != 0


def _failure(command: Command, result: CommandResult) -> Finding:
    ended = f"exit code {result.exit_code}" if result.cause == "exited" else result.cause
    lines = (result.stderr or result.stdout).decode(errors="replace").strip().splitlines()
    last = f": {lines[-1][:_TOLD]}" if lines else ""
    rule = "patch.rejected" if command.argv[0] == "patch" else "test.failed"
    return finding("test", rule, command.argv[-1], 0, f"{command.argv[0]}: {ended}{last}")
