"""Load files: what fits becomes values, what does not is told with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from executor.intent import Priority
from harness.errors import ScenarioError
from harness.simulate.durations import Duration
from harness.simulate.load_file import parse_text, spread

WHOLE: Final = """\
schema: cordon.load/1
id: whole
title: Every field
description: Nothing left out.
seed: 3
tasks: 100
duration_s: 50
warmup_s: 5
executor:
  pool: 3
  hosts: 2
  queue: 10
  memory_mb: 8192
  machine_mb: 256
  vms_max: 8
  clone_s: {constant: 0.8}
  acquire_s: {empirical: [0.1, 0.2]}
stages:
  review_s: {constant: 0.01}
  decision_s: {exponential: {mean: 0.005}}
  lease_s: {lognormal: {mean: 0.01, sigma: 1}}
budget: {start_atp: 100, refill_per_hour: 10, nap_floor: 5}
sources:
  - name: steady
    requester: cp15
    arrivals: {poisson: {per_s: 2, from_s: 1, for_s: 30}}
    service_s: {in_order: [1, 2, 3]}
    timeout_s: 30
    priorities: {HIGH: 1, LOW: 3}
    capabilities: ["base:execute", "dev:python"]
    commands: 2
  - {name: bursts, arrivals: {bursty: {rates_per_s: [0, 9], stays_s: [5, 1]}}, service_s: {constant: 1}}
  - {name: clock, arrivals: {every: {s: 0.5}}, service_s: {constant: 1}}
  - {name: list, arrivals: {trace: [0, 1, 1, 4.5]}, service_s: {constant: 1}}
incidents:
  - {at_s: 10, for_s: 5, what: scram}
  - {at_s: 12, what: hosts_lost, hosts: 2}
  - {at_s: 0, for_s: 5, what: reviewers_down, answers_after_s: 1}
  - {at_s: 0, for_s: 5, what: opa_slow, factor: 10}
targets: {wait_p95_s: 2, wait_mean_s: {HIGH: 1, LOW: 60}, refused_share: 0.01}
sweep: {pool: 1..4, hosts: [1, 2]}
"""


def problems(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        parse_text(text, "load.yaml", Path())
    return str(caught.value)


def test_every_field_arrives() -> None:
    """A file with everything in it becomes a value that says the same."""
    load = parse_text(WHOLE, "load.yaml", Path())
    serving = load.serving
    assert (serving.workers, serving.pool, serving.hosts, serving.coupled) == (3, 3, 2, True)
    assert serving.acquire_s == Duration("empirical", (0.1, 0.2))
    assert load.sources[0].priorities == ((Priority.HIGH, 1.0), (Priority.LOW, 3.0))
    assert [source.arrivals.process for source in load.sources] == ["poisson", "bursty", "every", "trace"]
    assert load.sources[1].arrivals.mean_per_s == pytest.approx(1.5)
    assert [incident.what for incident in load.incidents] == ["scram", "hosts_lost", "reviewers_down", "opa_slow"]
    assert [(target.name, target.figure, target.limit) for target in load.targets] == [
        ("wait_p95_s", "wait_s.all.p95", 2),
        ("wait_mean_s of HIGH", "wait_s.HIGH.mean", 1),
        ("wait_mean_s of LOW", "wait_s.LOW.mean", 60),
        ("refused_share", "refused_share", 0.01),
    ]
    assert load.sweep == (("pool", (1, 2, 3, 4)), ("hosts", (1, 2)))
    assert load.turned("pool", 7).serving.workers == 7


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("pool: 3", "pool: many", "load.yaml:10:9: executor.pool: expected a whole number, found the text 'many'"),
        ("  pool: 3\n", "", "load.yaml:10:3: executor: workers or pool is required"),
        ("poisson:", "poison:", "sources[0].arrivals.poison: unknown field; did you mean poisson?"),
        ("{constant: 0.8}", "{constant: 0.8, exponential: {mean: 1}}", "executor.clone_s: takes 1 of its fields"),
        ("mean: 0.005", "mean: 0", "stages.decision_s.exponential.mean: 0 is not over 0"),
        ("stays_s: [5, 1]", "stays_s: [5, 1, 2]", "rates_per_s and stays_s belong together"),
        ("rates_per_s: [0, 9]", "rates_per_s: [0, 0]", "nobody ever comes"),
        ("[0, 1, 1, 4.5]", "[0, 2, 1]", "sources[3].arrivals.trace: times have to be in rising order"),
        ("name: clock", "name: steady", "sources[2].name: steady is taken already"),
        ("hosts: 2}", "hosts: 3}", "3 of 2 hosts cannot be lost"),
        ("for_s: 5, what: scram", "for_s: 5, what: scram, factor: 2", "is for opa_slow, not for scram"),
        ("opa_slow, factor: 10", "opa_slow", "factor is required"),
        ("{HIGH: 1, LOW", "{HIHG: 1, LOW", "targets.wait_mean_s.HIHG: unknown field; did you mean HIGH?"),
        ("pool: 1..4", "pool: 4..1", "sweep.pool: takes 1 to 200 values of 0 to 1024"),
        ("warmup_s: 5", "warmup_s: 50", "nothing is left to measure"),
        ("tasks: 100\nduration_s: 50\nwarmup_s: 5\n", "", "tasks or duration_s is required"),
        ("hosts: 2\n", "hosts: 2.0\n", "executor.hosts: expected a whole number, found the number 2.0"),
        ("seed: 3", "seed: 3.0", "seed: expected a whole number, found the number 3.0"),
        ("{HIGH: 1, LOW: 60}", "{CRITICAL: 1}", "targets.wait_mean_s.CRITICAL: no source has CRITICAL tasks"),
        ("budget: {", "budget: {policies: no/where, ", "budget.policies: there is no folder no/where"),
        ("{constant: 0.8}", "{recorded: clone}", "there is no trail to take it from"),
        ("seed: 3", "seed: 3\nseed: 4", "appears twice"),
        ("[5, 1]", "[5, no]", "YAML would read no as a boolean"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, told: str) -> None:
    """File, line, column, field, and what would fit."""
    assert old in WHOLE
    assert told in problems(WHOLE.replace(old, new))


def test_two_stops_at_once_are_refused() -> None:
    """A second SCRAM before the first one is over is a mistake in the file."""
    text = WHOLE.replace("  - {at_s: 12,", "  - {at_s: 14, what: scram}\n  - {at_s: 12,")
    assert "incidents[1].at_s: begins before the scram of 10 s is over" in problems(text)


def test_a_spread_holds_both_ends() -> None:
    """1..3 is 1, 2 and 3."""
    assert spread("1..3") == (1, 2, 3)
    assert spread("2..1") == ()
