"""What every drill is to pytest: one item with markers, a record of what was judged, and a failure in words."""

from __future__ import annotations

import time
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from executor.errors import OutsideError
from harness.collection.drill_session import DrillSession
from harness.document.drill import AnyDrill
from harness.judgement.judge import Judgement
from harness.report import allure_record
from harness.report.records import Record

SESSION: Final = pytest.StashKey[DrillSession]()
RECORD: Final = pytest.StashKey[Record]()


class RedError(AssertionError):
    """A drill that does not pass; the message is the whole explanation."""

    __module__ = "builtins"  # else reports put the module's name in front, the longest word of a narrow page


class DrillItem(pytest.Item):
    """One drill: attempt, positive control and harmless twin, judged together."""

    def __init__(self, *, drill: AnyDrill, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.drill: Final[AnyDrill] = drill
        for name in marks_of(drill):
            self.add_marker(name)
        if drill.breakout:
            self.extra_keyword_matches.add(drill.breakout.mechanism)

    def setup(self) -> None:
        """Have the executor ready: a drill's own time does not hold the image's build or the engine's probe."""
        session = self.config.stash[SESSION]
        if session.engine not in self.drill.unmeasured:
            with suppress(OutsideError):  # told by `runtest`, as the reason why nothing could be measured
                session.executor()

    def runtest(self) -> None:
        """Run and judge; raises `RedError` unless the ruling is a good one."""
        session = self.config.stash[SESSION]
        started = time.monotonic()
        allure_record.describe(self.drill)
        judgement, message = self.tried(session, started)
        self.user_properties += [("ruling", judgement.ruling), ("engine", session.running_engine)]
        if judgement.good:
            return
        if listed := self.listed(session, judgement):
            pytest.skip(f"UNMEASURED here: {listed}")
        raise RedError(message)

    @abstractmethod
    def tried(self, session: DrillSession, started: float) -> tuple[Judgement, str]:
        """Try it, put the record into the stash and into the report; the ruling, and the failure in words."""

    def listed(self, session: DrillSession, judgement: Judgement) -> str:
        """The reason for which UNMEASURED is accepted here; empty when it is not.

        The simulator gives its own: what it does not model is counted, and conformance has a bar for it.
        """
        if judgement.ruling != "UNMEASURED":
            return ""
        own = (
            [one.text for one in judgement.findings if one.kind == "unmeasured"]
            if session.running_engine == "sim"
            else []
        )
        return self.drill.unmeasured.get(session.running_engine, "") or (own[0] if own else "")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The explanation as it is; anything else is a bug of ours and keeps its traceback."""
        return str(excinfo.value) if isinstance(excinfo.value, RedError) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line counted from 0, and title, for pytest's own messages."""
        return self.path, self.drill.place.line - 1, f"{self.name} ({self.drill.title})"


def marks_of(drill: AnyDrill) -> tuple[str, ...]:
    """The markers of a drill: its plan, its tags, and for an attempt `breakout` and its class."""
    attempt = ("breakout", f"class_{drill.breakout.class_.lower()}") if drill.breakout else ()
    return (f"plan_{drill.plan.lower()}", *drill.tags, *attempt)
