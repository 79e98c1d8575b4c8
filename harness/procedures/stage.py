"""What a procedure acts on: the executor all scenarios share, machines and executors of its own, a folder.

Everything taken through a stage is given back when the procedure ends, however it ends.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from executor.api import Executor, Request
from executor.errors import OutsideError
from executor.intent import Intent
from executor.machine import Profile
from executor.outcome import Outcome
from executor.paths import runtime_dir
from harness.judgement import coverage
from harness.judgement.coverage import Covered
from harness.procedures.own import OwnExecutor, own_runtime

if TYPE_CHECKING:
    from executor.pool.machine import VmMachine
    from executor.service import LocalExecutor
    from harness.procedures.near import Own

T = TypeVar("T")


@dataclass
class Kept:
    """What procedures of one pytest process make once and share; closed with the session."""

    state: Path
    policies: Path
    values: dict[str, Any] = field(default_factory=dict)
    covered: Covered = field(default_factory=Covered)
    """What the trails of executors of one's own cover: they are gone when the session ends."""
    closing: ExitStack = field(default_factory=ExitStack)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """The value kept under `key`, made at its first use."""
        if key not in self.values:
            self.values[key] = make()
        return cast("T", self.values[key])

    def runtime(self) -> Path:
        """The runtime folder of executors of one's own: apart from the shared one's, so that nobody reaps for them."""
        return self.once("own-runtime", lambda: self.closing.enter_context(own_runtime(runtime_dir())))


@dataclass
class Stage:
    """One call of a procedure. `weaken` names the controls that are taken away in it: pass it on."""

    executor: Executor
    weaken: frozenset[str]
    kept: Kept
    outcomes: list[tuple[Request, Outcome]] = field(default_factory=list)
    """What was run, for the judge and the canaries."""
    events: list[Mapping[str, Any]] = field(default_factory=list)
    """What the procedure caused on record, in order; a run's own are added by `run`."""
    _closing: ExitStack = field(default_factory=ExitStack)

    @property
    def engine(self) -> str:
        """What runs the guests."""
        return self.executor.engine

    @property
    def local(self) -> LocalExecutor:
        """The shared executor with its parts; raises `OutsideError` where it has none in this process."""
        if not hasattr(self.executor, "machines"):
            raise OutsideError(f"the executor behind {self.engine} has no machines to look at")
        return cast("LocalExecutor", self.executor)

    def request(self, raw: Mapping[str, Any], **options: Any) -> Request:
        """A request for the intent `raw` under an id of its own, with this stage's `weaken` and `options` of `Request`.

        `weaken` among the options adds to the stage's own.
        """
        intent_id = f"drill-procedure-{uuid.uuid4().hex[:16]}"
        intent = Intent.parse({"requester": "cbo", **raw, "intent_id": intent_id})
        more = frozenset(options.pop("weaken", ()))
        return replace(Request(intent, **options), weaken=self.weaken | more)

    def run(self, request: Request) -> Outcome:
        """Take `request` through the shared executor; its events count as caused."""
        outcome = self.executor.run(request)
        self.judged(request, outcome)
        return outcome

    def judged(self, request: Request, outcome: Outcome) -> None:
        """Add what came of a request elsewhere (an executor of one's own) to what is judged."""
        self.outcomes.append((request, outcome))
        self.caused(outcome.events)

    def caused(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Add events that no run returned."""
        self.events += events

    def machine(self, profile: Profile | None = None, *, weaken: Iterable[str] = ()) -> VmMachine:
        """A machine of one's own, acquired from the shared executor's pool; destroyed with the stage."""
        machine = self.local.machines.acquire(profile or Profile(), self.weaken | frozenset(weaken))
        self._closing.callback(machine.destroy)
        return cast("VmMachine", machine)

    def own_executor(self, *, state: Path | None = None, max_uses: int = 0) -> OwnExecutor:
        """An executor in a process of its own, with its own state and runtime; ended with the stage.

        `state` continues where another left off: for what a next start must find. `max_uses` above 0: its machines are
        used again, so often.
        """
        folder = state or self.folder() / "state"
        own = OwnExecutor(self.engine, folder, self.kept.runtime(), self.kept.policies, max_uses=max_uses)
        self._closing.callback(self._cover, folder)
        self._closing.callback(own.close)
        return own

    def fresh_executor(self, *, state: Path | None = None) -> Own:
        """An executor with its own state; in a process of its own only where libvirt has to be, for nobody kills it.

        A simulated one shares the policy engine and the sentinel. `state` continues where another left off.
        """
        if self.engine != "sim":
            return self.own_executor(state=state)
        from harness.procedures.near import NearExecutor  # noqa: PLC0415 - only where guests are simulated

        folder = state or self.folder() / "state"
        near = NearExecutor(folder, self.kept.policies, cast("LocalExecutor", self.executor).judges)
        self._closing.callback(self._cover, folder)
        self._closing.callback(near.close)
        return near

    def _cover(self, state: Path) -> None:
        """Keep what the trail in `state` covers; its executor has ended."""
        self.kept.covered |= coverage.of_trail(state)

    def folder(self) -> Path:
        """A fresh empty folder, mode 0700; removed with the stage."""
        self.kept.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix="stage-", dir=self.kept.state))
        self._closing.callback(shutil.rmtree, path, ignore_errors=True)
        return path

    @contextmanager
    def open(self) -> Iterator[Stage]:
        """The stage, for the time of the procedure."""
        with self._closing:
            yield self
