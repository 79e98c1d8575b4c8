"""Sweeps: the same load over several sizes of what serves it, on every core, and the least size that meets the targets.

Each finished point is a line of points.jsonl at once, under the digest of everything that decides it. A sweep that was
interrupted goes on with what is missing; points of another load or of another model are not taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any, Final

from executor.errors import OutsideError
from executor.policy import default_policies_dir
from executor.policy.bundle import load_bundle
from harness.simulate.load import Knob, Load
from harness.simulate.policy_table import judged
from harness.simulate.run import missed, simulate
from harness.simulate.side_by_side import answers

POINTS: Final = "points.jsonl"
_SOURCES: Final = (
    (
        "harness.simulate",
        (
            "model.py",
            "trouble.py",
            "parts.py",
            "durations.py",
            "arrivals.py",
            "measures.py",
            "figures.py",
            "policy_table.py",
            "run.py",
        ),
    ),
    ("executor.queue", ("queue.py",)),
    ("executor.pool", ("plan.py",)),
    ("executor", ("budget.py",)),
)
"""What a point's figures depend on besides the load and the policies."""

Setting = tuple[tuple[Knob, int], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One size and what came of it."""

    setting: Setting
    figures: Mapping[str, Any]
    missed: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people: `pool 3, hosts 2`."""
        return named(self.setting)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A whole sweep."""

    points: tuple[Point, ...]
    reused: int
    """Points that an earlier, interrupted run had finished."""

    @property
    def recommended(self) -> Point | None:
        """The least that meets every target; None when nothing does."""
        good = [point for point in self.points if not point.missed]
        return min(good, key=lambda point: _size(dict(point.setting)), default=None)


def named(setting: Setting) -> str:
    """`pool 3, hosts 2`."""
    return ", ".join(f"{knob} {value}" for knob, value in setting)


def settings(load: Load) -> tuple[Setting, ...]:
    """Every combination of the sweep's values, in order."""
    axes = [[(knob, value) for value in values] for knob, values in load.sweep]
    return tuple(product(*axes))


def run_sweep(
    load: Load, folder: Path, *, jobs: int, progress: Callable[[int, int, str], None] = lambda *_: None
) -> Sweep:
    """Run what is missing of `load`'s sweep, keeping every point in `folder` as soon as it is there.

    `progress` is told (finished, of how many, which). Raises `OutsideError` when the folder cannot be written.
    """
    policies = _policies(load)
    wanted = {_key(load, setting, policies): setting for setting in settings(load)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = {key: figures for key, figures in _kept(folder / POINTS) if key in wanted}
        reused = len(found)
        todo = [(key, load, setting) for key, setting in wanted.items() if key not in found]
        with (
            (folder / POINTS).open("a", encoding="utf-8") as file,
            closing(answers(_compute, todo, jobs)) as computed,
        ):
            for key, figures in computed:
                point = {"key": key, "setting": dict(wanted[key]), "figures": figures, "sum": _sum(key, figures)}
                file.write(json.dumps(point) + "\n")
                file.flush()
                found[key] = figures
                progress(len(found), len(wanted), named(wanted[key]))
    except OSError as error:
        raise OutsideError(f"cannot keep points in {folder}: {error.strerror}") from error
    points = (Point(setting, found[key], tuple(missed(found[key], load.targets))) for key, setting in wanted.items())
    return Sweep(tuple(points), reused)


def _compute(job: tuple[str, Load, Setting]) -> tuple[str, dict[str, Any]]:
    key, load, setting = job
    for knob, value in setting:
        load = load.turned(knob, value)
    return key, simulate(load)[0]


def _kept(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The points in `file`. A damaged line is none; a torn one is cut off, so that the next is whole."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        file.write_bytes(whole)
    for line in whole.splitlines():
        try:
            raw = json.loads(line)
            key, figures = str(raw["key"]), dict(raw["figures"])
            if raw["sum"] == _sum(key, figures):
                yield key, figures
        except (ValueError, KeyError, TypeError):
            continue


def _sum(key: str, figures: Mapping[str, Any]) -> str:
    """Tells a whole point from one whose digits a disk or an editor has changed."""
    return hashlib.sha256(f"{key} {json.dumps(figures, sort_keys=True)}".encode()).hexdigest()


def _policies(load: Load) -> str:
    """Digest of the policies that judge the load's tasks; empty where nothing is judged."""
    if not judged(load):
        return ""
    folder = load.budget.policies if load.budget and load.budget.policies else default_policies_dir()
    return load_bundle(folder).digest


def _key(load: Load, setting: Setting, policies: str) -> str:
    """Digest of all that decides a point, the policies' digest included. The rest of the sweep and targets do not."""
    for knob, value in setting:
        load = load.turned(knob, value)
    told = (
        load.serving,
        load.sources,
        load.seed,
        load.tasks,
        load.duration_s,
        load.warmup_s,
        load.stages,
        load.budget,
        load.incidents,
    )
    digest = hashlib.sha256(repr((load.id, policies, told)).encode())
    for package, names in _SOURCES:
        for name in names:
            digest.update(resources.files(package).joinpath(name).read_bytes())
    return digest.hexdigest()


def _size(setting: Mapping[Knob, int]) -> tuple[int, ...]:
    """What is less: fewer hosts before fewer machines before fewer workers before a shorter queue."""
    order: tuple[Knob, ...] = ("hosts", "pool", "workers", "queue")
    return tuple(setting.get(knob, 0) for knob in order)
