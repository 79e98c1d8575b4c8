"""Load files: strict YAML into a `Load`, every mistake at its place (file, line, column, field, what would fit).

Order of checks: strict YAML, the published schema, what the schema cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from executor.errors import OutsideError
from executor.intent import Priority
from harness import schema
from harness.document import validate
from harness.document.strict_yaml import Document, load_documents, path_text
from harness.document.strict_yaml import Path as Where
from harness.errors import Place, Problem, ScenarioError
from harness.simulate.arrivals import Arrivals
from harness.simulate.durations import NOTHING, Duration
from harness.simulate.load import (
    KNOBS,
    BudgetPlan,
    Incident,
    Knob,
    Load,
    Serving,
    Source,
    Stages,
    Target,
)
from harness.simulate.recorded import Recorded, read

VALUES: Final = {"pool": (0, 1024), "workers": (1, 1024), "hosts": (1, 1024), "queue": (1, 1000)}
"""What a sweep may set each figure to."""
_SPAN: Final = 200
SHARES: Final = {
    "refused_share": "refused_share",
    "denied_share": "denied_share",
    "miss_share": "pool.miss_share",
}
"""Target -> the figure it bounds; waits have one for each priority."""
_ONLY_FOR: Final = {"factor": "opa_slow", "hosts": "hosts_lost", "answers_after_s": "reviewers_down"}
"""Fields of an incident that belong to one kind of it."""


def parse_file(path: Path) -> Load:
    """The load in `path`; raises `ScenarioError` with every mistake, `OutsideError` when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ScenarioError([Problem(Place(str(path), 1, 1), "", f"byte {error.start} is not UTF-8")]) from None
    return parse_text(text, str(path), path.parent)


def parse_text(text: str, file: str, folder: Path) -> Load:
    """The one load in `text`, called `file` in messages; paths in it are relative to `folder`."""
    documents = load_documents(text, file)
    if len(documents) != 1:
        raise ScenarioError([Problem(Place(file, 1, 1), "", f"holds {len(documents)} documents, one load is wanted")])
    (document,) = documents
    if found := validate.problems(document, schema.LOAD):
        raise ScenarioError(found)
    return build(document, document.value, (), folder)


def build(document: Document, raw: Mapping[str, Any], at: Where, folder: Path) -> Load:
    """The load that `raw` describes, which fits the schema and stands at `at` in `document`."""
    return _Builder(document, at, folder).load(raw)


class _Builder:
    """Makes the values and gathers what the schema cannot say."""

    def __init__(self, document: Document, at: Where, folder: Path) -> None:
        self._document = document
        self._at = at
        self._folder = folder
        self._problems: list[Problem] = []
        self._recorded: Recorded | None = None

    def load(self, raw: Mapping[str, Any]) -> Load:
        if "recorded" in raw:
            self._recorded = read(self._folder / raw["recorded"]["log"])
        sources = self._each(raw, "sources", self._source)
        incidents = self._each(raw, "incidents", self._incident)
        serving = self._serving(raw["executor"], ("executor",))
        budget = self._budget(raw["budget"]) if "budget" in raw else None
        sweep = tuple((knob, self._values(knob, raw["sweep"][knob])) for knob in KNOBS if knob in raw.get("sweep", {}))
        self._whole(raw, sources, incidents, serving)
        self._bounded(raw.get("targets", {}), sources)
        if self._problems:
            raise ScenarioError(self._problems)
        return Load(
            id=raw["id"],
            title=raw["title"],
            serving=serving,
            sources=sources,
            seed=raw.get("seed", 1),
            tasks=raw.get("tasks", 0),
            duration_s=raw.get("duration_s", float("inf")),
            warmup_s=raw.get("warmup_s", 0.0),
            stages=Stages(
                **{name: self._duration(value, ("stages", name)) for name, value in raw.get("stages", {}).items()}
            ),
            budget=budget,
            incidents=incidents,
            targets=_targets(raw.get("targets", {})),
            sweep=sweep,
        )

    def _each(self, raw: Mapping[str, Any], name: str, make: Callable[[Any, Where], Any]) -> tuple[Any, ...]:
        return tuple(make(item, (name, number)) for number, item in enumerate(raw.get(name, ())))

    def _wrong(self, where: Where, message: str, allowed: tuple[str, ...] = ()) -> None:
        path = (*self._at, *where)
        self._problems.append(Problem(self._document.place_of(path), path_text(path), message, allowed))

    def _serving(self, raw: Mapping[str, Any], where: Where) -> Serving:
        if "workers" not in raw and "pool" not in raw:
            self._wrong(where, "workers or pool is required: how many tasks run at once")
        workers = raw.get("workers", max(1, raw.get("pool", 1)))
        plain = ("hosts", "queue", "queue_share", "memory_mb", "machine_mb", "vms_max")
        known: dict[str, Any] = {name: raw[name] for name in plain if name in raw}
        known |= {
            name: self._duration(raw[name], (*where, name))
            for name in ("clone_s", "refill_s", "acquire_s")
            if name in raw
        }
        return Serving(workers, raw.get("pool", workers), coupled="workers" not in raw, **known)

    def _budget(self, raw: Mapping[str, Any]) -> BudgetPlan:
        if "policies" not in raw:
            return BudgetPlan(**raw)
        policies = self._folder / raw["policies"]
        if not policies.is_dir():
            self._wrong(("budget", "policies"), f"there is no folder {policies}")
        return BudgetPlan(**{**raw, "policies": policies})

    def _source(self, raw: Mapping[str, Any], where: Where) -> Source:
        known = {name: raw[name] for name in ("requester", "timeout_s", "commands") if name in raw}
        if "priorities" in raw:
            known["priorities"] = tuple((Priority[name], float(raw["priorities"][name])) for name in raw["priorities"])
        if "capabilities" in raw:
            known["capabilities"] = tuple(raw["capabilities"])
        return Source(
            name=raw["name"],
            arrivals=self._arrivals(raw["arrivals"], (*where, "arrivals")),
            service_s=self._duration(raw["service_s"], (*where, "service_s")),
            **known,
        )

    def _incident(self, raw: Mapping[str, Any], where: Where) -> Incident:
        what = raw["what"]
        for name in _ONLY_FOR.keys() & raw.keys():
            if _ONLY_FOR[name] != what:
                self._wrong((*where, name), f"is for {_ONLY_FOR[name]}, not for {what}")
        if what == "opa_slow" and "factor" not in raw:
            self._wrong(where, "factor is required: how many times as long decisions take")
        figures: dict[str, Any] = {name: float(raw[name]) for name in raw.keys() - {"what", "hosts"}}
        return Incident(what, hosts=raw.get("hosts", 1), **figures)

    def _duration(self, raw: Mapping[str, Any], where: Where) -> Duration:
        ((form, value),) = raw.items()
        match form:
            case "constant":
                return Duration("constant", (float(value),))
            case "exponential":
                return Duration("exponential", (float(value["mean"]),))
            case "lognormal":
                return Duration("lognormal", (float(value["mean"]), float(value["sigma"])))
            case "recorded":
                return self._from_log(value, (*where, form))
            case _:
                return Duration("empirical" if form == "empirical" else "in_order", tuple(map(float, value)))

    def _from_log(self, stage: str, where: Where) -> Duration:
        if self._recorded is None:
            self._wrong(where, "there is no trail to take it from; name one with recorded: {log: FOLDER}")
            return NOTHING
        if not (seen := self._recorded.stages.get(stage, ())):
            known = tuple(name for name, values in self._recorded.stages.items() if values)
            self._wrong(where, f"the recorded trail shows no {stage}", known)
            return NOTHING
        return Duration("empirical", seen)

    def _arrivals(self, raw: Mapping[str, Any], where: Where) -> Arrivals:
        ((process, value),) = raw.items()
        if process == "trace":
            return self._trace(tuple(map(float, value)), (*where, process))
        if process == "recorded":
            return self._trace(self._times(value, (*where, process)), (*where, process))
        span: dict[str, Any] = {name: float(value[name]) for name in ("from_s", "for_s") if name in value}
        if process == "bursty":
            if len(value["rates_per_s"]) != len(value["stays_s"]):
                self._wrong(
                    (*where, process), "rates_per_s and stays_s belong together: as many of one as of the other"
                )
            elif not any(value["rates_per_s"]):
                self._wrong((*where, process, "rates_per_s"), "nobody ever comes: one rate has to be above 0")
            rates, stays = tuple(map(float, value["rates_per_s"])), tuple(map(float, value["stays_s"]))
            return Arrivals("bursty", rates=rates, stays=stays, **span)
        if process == "every":
            return Arrivals("every", rates=(1 / value["s"],), **span)
        return Arrivals("poisson", rates=(float(value["per_s"]),), **span)

    def _times(self, requester: str, where: Where) -> tuple[float, ...]:
        if self._recorded is None:
            self._wrong(where, "there is no trail to take it from; name one with recorded: {log: FOLDER}")
            return (0.0,)
        if not (times := self._recorded.arrivals_of(requester)):
            self._wrong(where, f"nobody called {requester} is in the recorded trail", ("*", *self._recorded.requesters))
            return (0.0,)
        return times

    def _trace(self, times: tuple[float, ...], where: Where) -> Arrivals:
        if any(later < sooner for sooner, later in pairwise(times)):
            self._wrong(where, "times have to be in rising order")
        return Arrivals("trace", times=times)

    def _values(self, knob: Knob, raw: str | list[int]) -> tuple[int, ...]:
        values = spread(raw) if isinstance(raw, str) else tuple(raw)
        low, high = VALUES[knob]
        if not values or len(values) > _SPAN or not all(low <= value <= high for value in values):
            self._wrong(("sweep", knob), f"takes 1 to {_SPAN} values of {low} to {high}, first..last or a list")
        return values

    def _whole(
        self, raw: Mapping[str, Any], sources: tuple[Source, ...], incidents: tuple[Incident, ...], serving: Serving
    ) -> None:
        """What concerns several fields."""
        endless = any(source.arrivals.endless for source in sources)
        if "duration_s" not in raw and "tasks" not in raw and endless:
            self._wrong((), "tasks or duration_s is required: nothing else ends this load")
        names = [source.name for source in sources]
        for number, name in enumerate(names):
            if name in names[:number]:
                self._wrong(("sources", number, "name"), f"{name} is taken already")
        for what in ("scram", "opa_slow", "reviewers_down"):
            numbered = [(one, number) for number, one in enumerate(incidents) if one.what == what]
            numbered.sort(key=lambda pair: pair[0].at_s)
            for (first, _), (second, number) in pairwise(numbered):
                if second.at_s < first.until_s:
                    self._wrong(("incidents", number, "at_s"), f"begins before the {what} of {first.at_s:g} s is over")
        for number, one in enumerate(incidents):
            if one.what == "hosts_lost" and one.hosts > serving.hosts:
                self._wrong(("incidents", number, "hosts"), f"{one.hosts} of {serving.hosts} hosts cannot be lost")
        if raw.get("warmup_s", 0) >= raw.get("duration_s", float("inf")):
            self._wrong(("warmup_s",), "nothing is left to measure: it has to be below duration_s")

    def _bounded(self, targets: Mapping[str, Any], sources: tuple[Source, ...]) -> None:
        """A bound on a wait is one on somebody's."""
        there = tuple(one.name for one in Priority if any(one in dict(source.priorities) for source in sources))
        for name, limits in targets.items():
            for whose in limits if isinstance(limits, dict) else ():
                if whose not in there:
                    self._wrong(
                        ("targets", name, whose), f"no source has {whose} tasks: there is no wait to bound", there
                    )


def _targets(raw: Mapping[str, Any]) -> tuple[Target, ...]:
    found: list[Target] = []
    for name, value in raw.items():
        if not name.startswith("wait_"):
            found.append(Target(name, SHARES[name], float(value)))
            continue
        part = name.split("_")[1]
        limits = value if isinstance(value, dict) else {"all": value}
        for whose, limit in limits.items():
            of = "" if whose == "all" else f" of {whose}"
            found.append(Target(f"{name}{of}", f"wait_s.{whose}.{part}", float(limit)))
    return tuple(found)


def spread(text: str) -> tuple[int, ...]:
    """The values of `first..last`, both included; none when they are the wrong way round."""
    first, _, last = text.partition("..")
    return tuple(range(int(first), int(last) + 1))
