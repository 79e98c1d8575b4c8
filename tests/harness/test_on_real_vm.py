"""The harness on a real VM: what the scripted executor of the other tests promises, a real one keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.document.scenario import Scenario, parse_file
from harness.judgement.explain import explain
from harness.judgement.judge import judge
from harness.judgement.runs import perform, plans
from harness.watch.canaries import HostWatch

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"


@pytest.mark.vm
def test_hello_staging_passes_and_a_dropped_event_does_not(cordon_executor: Any, tmp_path: Path) -> None:
    """The same scenario on the same executor: PASSED as it is, DIVERGENT and named when one event is left out."""
    (hello,) = parse_file(SCENARIOS / "hello_staging.yaml")
    assert isinstance(hello, Scenario)
    watch = HostWatch(tmp_path / "canaries")
    rulings = []
    for sabotage in (frozenset[str](), frozenset({"event_drop"})):
        runs = tuple(perform(plan, cordon_executor, watch) for plan in plans(hello, sabotage))
        judged = judge(hello, runs)
        rulings.append((judged.ruling, explain(hello, runs, judged)))
    watch.close()
    assert rulings[0][0] == "PASSED", rulings[0][1]
    assert rulings[1][0] == "DIVERGENT"
    assert "missing vm_event.ACQUIRED" in rulings[1][1]
