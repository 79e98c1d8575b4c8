"""Sweeps: every point once, kept as soon as it is there, the least good one recommended."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from executor.errors import OutsideError
from harness.simulate import sweep as module
from harness.simulate.load import BudgetPlan, Load, Target
from harness.simulate.output import write_run, write_sweep
from harness.simulate.run import simulate
from harness.simulate.sweep import POINTS, run_sweep
from tests.capacity.conftest import mmc

ROOT: Final = Path(__file__).resolve().parents[2]
FILE: Final = """\
schema: cordon.load/1
id: long
title: Long
tasks: 60000
executor: {workers: 2}
sources:
  - name: all
    arrivals: {poisson: {per_s: 1.5}}
    service_s: {exponential: {mean: 1}}
targets: {wait_p95_s: 5}
"""


def load() -> Load:
    """3 Erlang on 1 to 6 workers; 4 are needed at all, 5 for the target."""
    base = mmc(servers=4, busy=0.75, tasks=3000)
    return replace(
        base, sweep=(("workers", (1, 2, 3, 4, 5, 6)),), targets=(Target("wait_p95_s", "wait_s.all.p95", 1.0),)
    )


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_least_size_that_meets_the_targets_is_recommended(tmp_path: Path) -> None:
    """Waits fall with every worker, and the first that is good enough is named."""
    result = run_sweep(load(), tmp_path, jobs=1)
    waits = [point.figures["wait_s"]["all"]["p95"] for point in result.points]
    assert waits == sorted(waits, reverse=True)
    assert result.recommended is not None
    assert result.recommended.name == "workers 5"
    assert [bool(point.missed) for point in result.points] == [True] * 4 + [False] * 2
    written = {path.name for path in write_sweep(tmp_path, load(), result)}
    assert {"sweep.json", "sweep.csv", "sweep-wait-p95.svg"} <= written
    table = (tmp_path / "sweep.csv").read_text().splitlines()
    assert len(table) == 7
    assert table[0].startswith("workers,wait_s.all.mean,")
    assert "<polyline" in (tmp_path / "sweep-wait-p95.svg").read_text()


def test_nothing_is_recommended_when_nothing_is_good_enough(tmp_path: Path) -> None:
    """Three workers under three Erlang never are."""
    assert run_sweep(replace(load(), sweep=(("workers", (1, 2, 3)),)), tmp_path, jobs=1).recommended is None


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    """The figures do not depend on who computed them."""
    alone = run_sweep(load(), tmp_path / "one", jobs=1)
    together = run_sweep(load(), tmp_path / "two", jobs=2)
    assert alone.points == together.points


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished points are taken from the file, a torn line is not, and points of another load are not."""
    whole = run_sweep(load(), tmp_path, jobs=1)
    lines = (tmp_path / POINTS).read_text().splitlines(keepends=True)
    (tmp_path / POINTS).write_text("".join(lines[:3]) + lines[3][:50])
    computed: list[object] = []
    compute = module._compute

    def counted(job: tuple[str, Load, module.Setting]) -> tuple[str, dict[str, Any]]:
        computed.append(job)
        return compute(job)

    monkeypatch.setattr(module, "_compute", counted)
    again = run_sweep(load(), tmp_path, jobs=1)
    assert (len(computed), again.reused, again.points) == (3, 3, whole.points)
    assert run_sweep(load(), tmp_path, jobs=1).reused == 6
    assert run_sweep(replace(load(), seed=9), tmp_path, jobs=1).reused == 0


def test_a_point_whose_digits_were_changed_is_computed_again(tmp_path: Path) -> None:
    """A checkpoint that a disk or an editor has damaged within a figure is no point."""
    whole = run_sweep(load(), tmp_path, jobs=1)
    first, *rest = (tmp_path / POINTS).read_text().splitlines(keepends=True)
    raw = json.loads(first)
    raw["figures"]["wait_s"]["all"]["p95"] += 1
    gone = rest.pop().replace('"figures": {', '"figures": {}, "were": {')
    (tmp_path / POINTS).write_text(json.dumps(raw) + "\n" + "".join(rest) + gone)
    again = run_sweep(load(), tmp_path, jobs=1)
    assert (again.reused, again.points) == (4, whole.points)


def test_a_sweep_whose_process_is_killed_says_so(tmp_path: Path) -> None:
    """By the kernel for want of memory, say: nobody waits for its point for ever, and what is finished is kept."""

    def a_point_is_there(*_: object) -> None:
        for helper in multiprocessing.active_children():
            assert helper.pid
            os.kill(helper.pid, signal.SIGKILL)

    long = replace(load(), tasks=20_000)
    with pytest.raises(OutsideError, match="a process at work was killed"):
        run_sweep(long, tmp_path, jobs=2, progress=a_point_is_there)
    assert multiprocessing.active_children() == []
    assert 1 <= len((tmp_path / POINTS).read_text().splitlines()) <= 2


def test_other_policies_make_other_points(tmp_path: Path) -> None:
    """A point's figures hold for the policies that judged them: after an edit it is computed again."""
    policies = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", policies)
    judged = replace(load(), tasks=50, budget=BudgetPlan(1000, 1000, policies=policies))
    assert run_sweep(judged, tmp_path / "out", jobs=1).reused == 0
    assert run_sweep(judged, tmp_path / "out", jobs=1).reused == 6
    source = policies / "cordon" / "decision.rego"
    source.write_text(source.read_text(encoding="utf-8") + "\n# another\n", encoding="utf-8")
    assert run_sweep(judged, tmp_path / "out", jobs=1).reused == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_a_sweep_that_is_stopped_keeps_what_is_finished_and_leaves_no_process(
    number: signal.Signals, tmp_path: Path
) -> None:
    """In the middle of a sweep on two processes: status 130 for Ctrl-C, whole lines in the file, then the rest.

    SIGKILL goes to the command alone: nobody tells its helpers.
    """
    (tmp_path / "long.yaml").write_text(FILE)
    command = ["env", "--default-signal=INT"]  # whoever started the tests may ignore it
    command += [sys.executable, "-m", "cordon", "simulate", "sweep", "long.yaml", "--workers", "2..9", "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "--out", "out"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        points = tmp_path / "out" / POINTS
        deadline = time.monotonic() + 120
        while not (points.exists() and points.read_bytes().count(b"\n")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)  # a poll of a file another process writes, not a wait for time to pass
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
            _, said = process.communicate(timeout=60)
            assert process.returncode == 130, said
            assert "points are kept in out; run it again to go on" in said
        else:
            os.kill(process.pid, number)
            assert process.wait(60) == -number
    while alive(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # as above: the helper processes see that their parent has gone
    kept = [json.loads(line) for line in points.read_text().splitlines()]
    assert 1 <= len(kept) < 8
    done = subprocess.run(
        [*command, "--out", "out", "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["reused"] == len(kept)


def test_a_run_leaves_tables_and_plots(tmp_path: Path) -> None:
    """CSV with the same figures as the summary; SVG that stands alone."""
    found, measures = simulate(load())
    names = {path.name for path in write_run(tmp_path, load(), found, measures)}
    assert names == {
        "summary.json", "waits.csv", "requesters.csv", "timeline.csv", "queue.svg", "workers.svg", "waits.svg"
    }  # fmt: skip
    assert json.loads((tmp_path / "summary.json").read_text()) == found
    first = (tmp_path / "waits.csv").read_text().splitlines()[1].split(",")
    assert (first[0], float(first[2])) == ("all", found["wait_s"]["all"]["mean"])
    assert all("<style>" in (tmp_path / name).read_text() for name in names if name.endswith(".svg"))


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    """What an earlier run wrote is whole when a later one cannot: here no file may be longer than 200 bytes."""
    found, measures = simulate(load())
    write_run(tmp_path, load(), found, measures)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        with pytest.raises(OutsideError, match="File too large"):
            write_run(tmp_path, load(), {**found, "seed": 2}, measures)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
