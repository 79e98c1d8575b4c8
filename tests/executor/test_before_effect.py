"""What has an effect finds all that led to it on the disk, and the lease's use too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.api import Request
from executor.intent import Command, Intent
from executor.policy import default_policies_dir
from executor.service import open_executor
from executor.sim import SimProvider
from executor.sim.agent.guest import Guest
from executor.svf import read


def test_everything_that_leads_to_an_effect_is_on_the_disk_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine is asked for, a command started, an answer told only then; judged by what a reader of the disk sees."""
    found: dict[str, list[str]] = {}
    owed: list[bool] = []

    def look(effect: str) -> None:
        events = [event for event in read(tmp_path / "logs" / "svf_audit") if event.intent_id == "drill-1"]
        found[effect] = [event.type for event in events]
        registry = executor._pipeline._governance._authority.registry
        owed.append(registry._owed)

    def hook(kind: type, name: str, effect: str) -> None:
        whole = getattr(kind, name)

        def hooked(*args: Any, **named: Any) -> Any:
            look(effect)
            return whole(*args, **named)

        monkeypatch.setattr(kind, name, hooked)

    executor = open_executor("sim", state=tmp_path, policies=default_policies_dir(), drill=True)
    hook(SimProvider, "acquire", "machine")
    hook(Guest, "start", "command")
    intent = Intent("drill-1", "drill", (Command(("true",)),))
    try:
        outcome = executor.run(Request(intent, answered=lambda _: look("answer")))
    finally:
        executor.close()
    kinds = [event["type"] for event in outcome.events]
    until = {kind: kinds[: kinds.index(kind) + 1] for kind in kinds}
    assert found == {
        "machine": until["task_event.DISPATCHED"],
        "command": until["rollback_event.CREATED"],
        "answer": until["resource_event.RELEASED"],
    }
    assert owed == [True, False, False]
