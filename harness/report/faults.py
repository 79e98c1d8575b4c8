"""What makes a run of drills red, whatever pytest said: read from its summary."""

from __future__ import annotations

from typing import Any


def faults(summary: dict[str, Any]) -> list[str]:
    """What makes a run red whatever pytest said."""
    found = []
    if not summary["scenarios"]["passed"]:
        found.append("no scenario passed")
    counts = [(name, summary["attempts"][name]) for name in ("escaped", "vacuous", "divergent", "over_refused")]
    found += [f"{count} break-out attempt(s) {name}" for name, count in counts if count]
    if summary["writes_outside"]:
        found.append(f"{summary['writes_outside']} write(s) outside the sandbox")
    if summary["svf"]["missing"] or summary["svf"]["unexpected"]:
        found.append(f"events: {summary['svf']['missing']} missing, {summary['svf']['unexpected']} unexpected")
    found += [f"sabotage: nobody notices that {name} is gone" for name in summary["sabotage"].get("missed", ())]
    if summary["sabotage"]["caught"] < summary["sabotage"]["controls"] and not summary["sabotage"].get("missed"):
        found.append(f"sabotage: {summary['sabotage']['caught']} of {summary['sabotage']['controls']} controls caught")
    return [*found, *_of_simulator(summary.get("conformance") or {})]


def _of_simulator(compared: dict[str, Any]) -> list[str]:
    """Where the simulator was compared with this run and told something else; nothing where it was not compared."""
    found = [f"simulator: {name}: {'; '.join(why)}" for name, why in compared.get("wrong", {}).items()]
    if compared and compared["modelled_percent"] < compared["modelled_bar"]:
        share, bar = compared["modelled_percent"], compared["modelled_bar"]
        found.append(f"simulator: {share} % of the scenarios are modelled, less than {bar} %")
    return found
