"""The threat model: no control is missing, and every link leads to a drill that concerns it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.reference import threat_model
from harness.sabotage.cases import group, load
from harness.sabotage.matrix import controls

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / threat_model.TARGET).read_text("utf-8")
ROWS = {row[0]: row for row in threat_model.ROW.findall(TEXT)}
CASES = {case.name: case for case in group(load(ROOT / "scenarios", root=ROOT), "any engine")}


def test_every_control_has_its_row() -> None:
    """What can be taken away is in the model with its meaning and its sabotage case, and nothing else is."""
    told = {name: (row[1], row[2], row[4]) for name, row in ROWS.items()}
    assert told == {name: (where, what, name) for name, (where, what) in controls().items()}, (
        "write the table anew: python -m harness.reference.threat_model"
    )


@pytest.mark.parametrize("name", [name for name, (where, _) in controls().items() if where != "harness"])
def test_every_control_is_linked_with_drills_that_notice_it(name: str) -> None:
    """Each drill that is named exists, in the file the link leads to, and concerns this control."""
    links = threat_model.LINK.findall(ROWS[name][3])
    assert links, f"no drill notices that {name} is gone; give one `notices: [{name}]`, then write the table anew"
    for drill, file in links:
        assert (ROOT / file).is_file(), file
        assert drill in CASES, f"{drill}: there is no such drill; python -m harness.reference.threat_model"
        assert CASES[drill].first.place.file == file
        assert CASES[drill].concerned(name)


def test_the_table_is_put_where_it_belongs(tmp_path: Path) -> None:
    """The prose stays as it is; a control without drills is told as such."""
    text = f"before\n{threat_model.BEGIN}\nold\n{threat_model.END}\nafter\n"
    fresh = threat_model.rendered(text, tmp_path)
    assert fresh.startswith(f"before\n{threat_model.BEGIN}\n\n| control")
    assert fresh.endswith(f"{threat_model.END}\nafter\n")
    assert "\nold\n" not in fresh
    assert "| `seccomp` | guest | no seccomp filter | none |" in fresh
