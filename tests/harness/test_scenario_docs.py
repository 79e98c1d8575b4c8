"""Published texts are current, and the project's own scenarios are well formed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.document.scenario import parse_file, parse_text
from harness.reference import scenario_docs

ROOT = Path(__file__).resolve().parents[2]


def test_the_scenario_reference_is_current() -> None:
    """docs/scenarios.md is what the schema says now; `python -m harness.reference.scenario_docs` writes it anew."""
    assert (ROOT / scenario_docs.TARGET).read_text(encoding="utf-8") == scenario_docs.render()


def test_the_guide_shows_a_scenario_that_is_read() -> None:
    """The first example of the guide is a whole scenario; the others are parts that fit on to it."""
    blocks = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs/guides/write-a-drill.md").read_text(encoding="utf-8"), re.DOTALL
    )
    whole, *parts = blocks
    for part in parts:
        assert isinstance(yaml.safe_load(part), dict)
    (found,) = parse_text(whole + "\n".join(parts), "guide.yaml", ROOT)
    assert (found.id, found.breakout is not None) == ("list-workspace", True)


@pytest.mark.parametrize("path", sorted(ROOT.joinpath("scenarios").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_scenario_of_the_project_is_well_formed(path: Path) -> None:
    """Each file parses, and a plan's scenarios lie in the plan's folder."""
    for scenario in parse_file(path):
        if len(scenario.plan) == 1 and path.parent.name.startswith("plan_"):
            assert path.parent.name.startswith(f"plan_{scenario.plan.lower()}_")
