"""The target that is a machine: arguments, environment and files through the channel into a real guest and back.

Many attacks share a machine, with RESET in between: its agent must live through all of them and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from executor.channel.channel_pb2 import Finished, Output
from executor.channel.session import Denial
from executor.clock import SystemClock
from executor.errors import FrameViolationError, OutsideError
from executor.intent import Command, FileIn, Limits
from executor.machine import Profile
from harness.redteam.attacks import texts
from harness.redteam.target import EscapeError, Target

if TYPE_CHECKING:
    from executor.pool.machine import VmMachine
    from executor.service import LocalExecutor

_CLOCK: Final = SystemClock()
_PATIENCE_NS: Final = 30_000_000_000
_LIMITS: Final = Limits(wallclock_timeout_s=20, disk_quota_mb=16, mem_quota_mb=64, output_mb=1)
_STDOUT: Final = 1

_argument = texts.map(lambda text: text.encode("utf-8", "replace").decode().replace("\0", ""))
_name = st.sampled_from(["TASK_A", "LD_PRELOAD", "BASH_ENV", "A=B", "", "PATH", "é"]) | st.text("ABC_=", max_size=6)
_path = st.sampled_from(
    ["/workspace/in", "/workspace/../etc/passwd", "/workspace//in", "/etc/passwd", "/workspace/a/b/c", "in",
     "/workspace/" + "d/" * 70 + "f", "/workspace/" + "n" * 300, "/artefact/x", "/workspace/in\0x"]
)  # fmt: skip


def _attacks() -> SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {
            "arguments": st.lists(_argument, max_size=5),
            "env": st.dictionaries(_name, _argument, max_size=3),
            "path": _path,
            "content": st.binary(max_size=64) | st.just(b"x" * (1 << 20)),
        }
    )


def _talk(machine: VmMachine, command: Command, env: dict[str, str]) -> tuple[bytes, int] | None:
    """Run a command to its end: its output and exit code; None when the agent refused it."""
    session = machine.session
    if isinstance(session.start("task", command, env), Denial):
        return None
    out = b""
    for part in session.follow("task", _CLOCK.monotonic_ns() + _PATIENCE_NS):
        if isinstance(part, Output) and part.stream == _STDOUT:
            out += part.data
        if isinstance(part, Finished):
            if part.cause != Finished.EXITED:
                raise EscapeError("an ordinary command is killed")
            return out, part.exit_code
    raise EscapeError("a command without an end")


def guest(machine: Callable[[], VmMachine]) -> Target:
    """The target on machines that `machine` hands out; one is used for all attacks of a round."""

    @contextmanager
    def opened() -> Iterator[list[VmMachine]]:
        bench: list[VmMachine] = []
        try:
            yield bench
        finally:
            for found in bench:
                found.destroy()

    def attack(bench: list[VmMachine], value: Any) -> None:
        """What went in comes out unchanged; what may not go in is refused in words; the agent lives on."""
        if not bench:
            bench.append(machine())
        found = bench[0]
        try:
            _once(found, value)
        except EscapeError:
            bench.pop().destroy()  # whatever it is now, the next attack gets a whole one
            raise

    return Target("guest", "a real machine and its agent", _attacks, attack, opened, examples=10, slow=True)


def _once(found: VmMachine, value: Any) -> None:
    """One attack on one machine."""
    echo = Command(("printf", "%s\\n", *value["arguments"]))
    show = Command(("cat", "/workspace/in"))
    try:
        _prepared(found, (echo.argv, show.argv), tuple(value["env"]))
        said = _talk(found, echo, value["env"])
        wanted = "".join(f"{item}\n" for item in value["arguments"] or [""]).encode()
        if said is not None and said != (wanted, 0):
            raise EscapeError(f"arguments arrive otherwise: {said!r:.200}")
        stored = found.session.put_file(FileIn(value["path"], value["content"]))
        plain = value["path"].startswith("/workspace/") and not {"", ".", ".."} & set(value["path"].split("/")[1:])
        if stored is None and not plain:
            raise EscapeError(f"a wild path is stored: {value['path']!r}")
        if stored is None and value["path"] == "/workspace/in" and _talk(found, show, {}) != (value["content"], 0):
            raise EscapeError("a file arrives otherwise")
        found.session.reset()
    except (OutsideError, FrameViolationError) as error:
        raise EscapeError(f"the guest is lost: {error}") from error


def _prepared(machine: VmMachine, commands: tuple[tuple[str, ...], ...], names: tuple[str, ...]) -> None:
    denied = machine.session.prepare(
        "lease-of-the-red-team",
        capabilities=("base:execute",),
        paths_write=("/workspace/**",),
        env_allowlist=names,
        commands=commands,
        limits=_LIMITS,
    )
    if denied is not None:
        raise EscapeError(f"ordinary terms are refused: {denied.code}")


def own_machine(executor: LocalExecutor) -> VmMachine:
    """A machine of the executor's pool, for attacks alone."""
    return cast("VmMachine", executor.machines.acquire(Profile(), frozenset()))
