"""The gate on copies of the policies with a mistake in them: each mistake is caught, by the step that should."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.gate.run import main

Mistake = Callable[[Path], None]


def replaces(name: str, old: str, new: str) -> Mistake:
    """One word of one file for another; the word has to be there."""

    def change(root: Path) -> None:
        file = root / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return change


def appends(name: str, text: str) -> Mistake:
    """More at the end of a file."""

    def change(root: Path) -> None:
        with (root / name).open("a") as file:
            file.write(text)

    return change


NAMELESS = "\ndeny contains reason.from(rego.metadata.chain(), []) if input.now == 7\n"
UNSHOWN = f"""
# METADATA
# title: It is seven
# custom:
#   short_name: seven
#   remedy: Wait.{NAMELESS}"""
NEW_ROW = """  cp17:
    none:
      staging:
        capabilities: ["base:execute"]
        programs: [coreutils]
"""
HOST = "cordon/rules/host/host.rego"
MATRIX = "cordon/rules/matrix/data.yaml"

ATP, ENV, DISK = (f"cordon/rules/{name}/data.yaml" for name in ("atp", "env", "host"))
FREE, RUNNING, CPU = "input.facts.host.vms_max", "input.facts.host.vms_running <", "reserve.cpu_percent"
CBO = "[coreutils, python, compiler]"

MISTAKES: dict[str, tuple[str, Mistake, str]] = {
    "rule: a field nobody has": ("check", replaces(HOST, FREE, f"{FREE}imum"), "vms_maximum"),
    "rule: a helper nobody has": ("check", replaces(HOST, "not slot_left", "not slots_left"), "slots_left"),
    "rule: a data document nobody has": ("lint", replaces(HOST, CPU, "data.cordon.rules.host.reserves"), "reserves"),
    "rule: a key of data nobody has": ("test", replaces(HOST, CPU, "reserve.cpu"), "host_test.test_denied"),
    "rule: another comparison": ("test", replaces(HOST, RUNNING, f"{RUNNING}="), "host_test.test_denied"),
    "rule: a built-in that reaches outside": ("check", replaces(HOST, RUNNING, "time.now_ns() <"), "time.now_ns"),
    "rule: written in another way": ("format", replaces(HOST, "deny contains", "deny  contains"), HOST),
    "rule: no line of a test runs it": ("coverage", appends(HOST, "\nunused if {\n\tinput.now == 1\n}\n"), f"{HOST}:"),
    "denial: without words": ("codes", appends(HOST, NAMELESS), "no title and no short_name and no remedy"),
    "denial: that no case shows": ("codes", appends(HOST, UNSHOWN), "host.seven has no case"),
    "denial: shown, but gone": ("codes", replaces(HOST, "name: slots", "name: places"), "host.slots, which no rule"),
    "data: a key": ("data", replaces(MATRIX, f"programs: {CBO}", f"program: {CBO}"), f"{MATRIX}:21:9:"),
    "data: a capability": ("data", replaces(MATRIX, '["base:execute",', '["base:exceute",'), "base:exceute is no"),
    "data: a group": ("data", replaces(MATRIX, CBO, "[coreutil]"), "coreutil is no group"),
    "data: a bound as text": ("data", replaces(DISK, "mem_mb: 512", 'mem_mb: "512"'), "'512' is not of type 'integer'"),
    "data: a key twice": ("data", replaces(ATP, "nap_cost: 5", "nap_cost: 5\nnap_cost: 6"), "nap_cost"),
    "data: a row that no test knows": ("test", appends(MATRIX, NEW_ROW), "test_every_cell_is_as_written_here"),
    "data: an entry that no test knows": ("test", replaces(ENV, "[LANG,", "[LANG, DISPLAY,"), "every_allowed_name"),
    "data: a cell the other way": ("test", replaces(MATRIX, 'cpu"]', 'cpu", "net:egress"]'), "matrix_test"),
    "docs: of yesterday": ("docs", replaces(HOST, "The host's CPUs are busy", "The host is busy"), "write it anew"),
    "built-ins: one let in": ("check", replaces("capabilities.json", '"lower"', '"http.send"'), "allows http.send"),
}


@pytest.fixture
def copied(tmp_path: Path, policies: Path) -> Path:
    """Policies and their reference, to be damaged."""
    (tmp_path / "docs").mkdir()
    shutil.copy(policies.parent / "docs" / "policies.md", tmp_path / "docs")
    return Path(shutil.copytree(policies, tmp_path / "policies"))


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_caught(copied: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """The step that should catch a mistake does, names it, and the gate ends with 1."""
    step, damage, words = MISTAKES[name]
    damage(copied)
    needs = ["test"] if step == "codes" else []
    assert main(["--policies", str(copied), *(f"--only={one}" for one in (*needs, step))]) == 1
    said = capsys.readouterr().out
    assert f"policies: {step:9} FAILED" in said
    assert words in said


def test_an_entry_or_cell_that_no_test_notices_is_named(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the tests of the matrix and of the denylist gone, their cells and entries are listed one by one."""
    replaces("cordon/rules/matrix/matrix_test.rego", "test_every_row_has_the_programs_written_here", "todo_programs")(
        copied
    )
    replaces("cordon/rules/network/network_test.rego", "test_every_denied_host_is_denied", "todo_hosts")(copied)
    assert main(["--policies", str(copied), "--only=test", "--only=exercise"]) == 1
    said = capsys.readouterr().out
    assert "no test notices a change of cell cbo/none/staging x shell" in said
    assert "no test notices a change of entry network.denylist[11] *.onion" in said
    assert "policies: test      ok" in said


def test_no_tests_are_no_pass(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Policies without tests fail, though nothing in them does."""
    for file in copied.rglob("*_test.rego"):
        file.unlink()
    assert main(["--policies", str(copied), "--only=test", "--only=codes"]) == 1
    assert "policies: FAILED: test, codes" in capsys.readouterr().out


def test_an_untouched_copy_passes_what_is_quick(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The controls above fail for their mistake alone: without it the same steps pass."""
    steps = ("format", "data", "check", "test", "codes", "lint", "docs")
    assert main(["--policies", str(copied), *(f"--only={step}" for step in steps)]) == 0
    assert "FAILED" not in capsys.readouterr().out


def test_wrong_use_ends_with_2(tmp_path: Path, policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No policies and no such step are wrong use, not a failure of the policies."""
    assert main(["--policies", str(tmp_path)]) == 2
    assert main(["--policies", str(policies), "--only=everything"]) == 2
    assert "no such step: everything" in capsys.readouterr().err


def test_a_step_named_alone_runs_what_it_looks_at(policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--only codes` runs the tests whose results it reads, and nothing else."""
    assert main(["--policies", str(policies), "--only", "codes"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in said if " ok " in line] == ["test", "codes"]
