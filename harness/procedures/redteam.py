"""The red team as a drill: a short run from a fixed seed, and the replay of what it once found.

The red team is imported where it attacks: hypothesis takes a quarter of a second, and every collection would pay it.
"""

from __future__ import annotations

from executor.clock import SystemClock
from harness.judgement.facts import Facts
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage


@procedure()
def redteam(stage: Stage, *, targets: list[str], rounds: int = 1, seed: int = 1) -> Facts:
    """Attacks each of `targets` for so many rounds, always the same ones for a seed. `found` is what got through."""
    from harness.redteam import registry  # noqa: PLC0415 - see the module's docstring
    from harness.redteam.campaign import Campaign  # noqa: PLC0415 - as above

    campaign = Campaign(registry.chosen(targets, stage.machine), seed, SystemClock())
    campaign.run(rounds=rounds)
    return {
        "found": [f"{find.target} {find.kind}: {find.why}" for find in campaign.finds],
        "targets": len(campaign.scores),
        "attacks": sum(score.examples for score in campaign.scores.values()),
    }


@procedure()
def redteam_replay(stage: Stage, *, target: str, attack: str) -> Facts:
    """Makes one saved attack on its target, in a process of its own; `how` says how it got through."""
    from harness.redteam import registry  # noqa: PLC0415 - see the module's docstring
    from harness.redteam.sandbox import Bounds, try_alone  # noqa: PLC0415 - as above
    from harness.redteam.target import load  # noqa: PLC0415 - as above

    (chosen,) = registry.chosen([target], stage.machine)
    found = try_alone(chosen, load(attack), Bounds())
    return {"held": found is None, "how": f"{found.kind}: {found.why}" if found else ""}
