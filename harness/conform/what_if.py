"""What other policies would change: every scenario on the simulator by each, compared. Nothing real is started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from executor.api import Executor
from harness.conform.corpus import Corpus
from harness.conform.run import Nothing
from harness.conform.seen import Seen, seen
from harness.judgement.judge import judge
from harness.judgement.runs import Run, own_part, perform
from harness.report.escape import markdown_line

Change = Literal["SAME", "CHANGED", "UNMODELLED"]


@dataclass(frozen=True, slots=True)
class Side:
    """One scenario by one set of policies."""

    ruling: str
    runs: tuple[Seen, ...]
    unmodelled: str = ""
    intents: frozenset[str] = frozenset()
    """What its runs are called on record."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One scenario by both."""

    id: str
    title: str
    change: Change
    before: str
    after: str
    """The rulings."""
    how: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-like."""
        return {
            "id": self.id,
            "title": self.title,
            "change": self.change,
            "before": self.before,
            "after": self.after,
            "how": list(self.how),
        }


def by(corpus: Corpus, executor: Executor, tell: Callable[[str], None] = lambda _: None) -> dict[str, Side]:
    """Every scenario that the simulator can try, taken through `executor`; scenario id -> how it went."""
    watch = Nothing()
    found: dict[str, Side] = {}
    for number, group in enumerate(corpus.groups, 1):
        tell(f"{number} of {len(corpus.groups)}: {group.id}")
        left = [one for one in group.scenarios if executor.engine not in one.unmeasured]
        if not left:
            continue
        runs = [perform(plan, executor, watch) for plan in group.plans()]
        for scenario in left:
            own = tuple(own_part(run, scenario) for run in runs)
            found[scenario.id] = _side(judge(scenario, own).ruling, own)
    return found


def _side(ruling: str, runs: Sequence[Run]) -> Side:
    looked = [seen(run) for run in runs]
    missing = next((one for one in looked if isinstance(one, str)), "")
    intents = frozenset(str(event["intent_id"]) for run in runs if run.outcome for event in run.outcome.events)
    return Side(ruling, tuple(one for one in looked if isinstance(one, Seen)), missing, intents)


def changes(corpus: Corpus, before: dict[str, Side], after: dict[str, Side]) -> list[Changed]:
    """What differs between two sides, scenario by scenario, in the files' order."""
    found = []
    for group in corpus.groups:
        for scenario in group.scenarios:
            one, two = before.get(scenario.id), after.get(scenario.id)
            if one is None or two is None:
                continue
            # By role, not by place: a run that one side's simulator had no answer to is missing there.
            others = {new.role: new for new in two.runs}
            how = [
                f"{old.role}: {text}"
                for old in one.runs
                if old.role in others
                for text in old.differences(others[old.role])
            ]
            if one.ruling != two.ruling:
                how.insert(0, f"ruling: {one.ruling} and {two.ruling}")
            change: Change = "CHANGED" if how else "UNMODELLED" if one.unmodelled else "SAME"
            found.append(Changed(scenario.id, scenario.title, change, one.ruling, two.ruling, tuple(how)))
    return found


def not_asked(corpus: Corpus, found: Sequence[Changed]) -> dict[str, int]:
    """How much of the files is no part of the answer: what the simulator does not model, and procedures."""
    asked = {one.id for one in found if one.change != "UNMODELLED"}
    missing = sum(1 for group in corpus.groups for scenario in group.scenarios if scenario.id not in asked)
    return {"unmodelled": missing, "procedures": len(corpus.others)}


def markdown(found: Sequence[Changed], other: str) -> str:
    """A table for a pull request."""
    changed = [one for one in found if one.change == "CHANGED"]
    rows = [f"**{len(changed)} of {len(found)} scenarios change** with `{other}`.", ""]
    if changed:
        rows += ["| scenario | before | after | how |", "|---|---|---|---|"]
        rows += [f"| {one.id} | {one.before} | {one.after} | {markdown_line('; '.join(one.how))} |" for one in changed]
    return "\n".join(rows) + "\n"
