"""What each operator makes of a small rule, with OPA's own parser, and that what it makes is Rego again."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.mutate.change import Mutant
from harness.mutate.tree import OPERATORS, all_mutants, read_tree
from harness.policydir import OpaTool

RULES = [
    ("default-flip", "default p := false\n", {"default p := true\n"}),
    (
        "drop-line",
        "p if {\n\tinput.a # why\n\tinput.b\n}\n",
        {"p if {\n\tinput.b\n}\n", "p if {\n\tinput.a # why\n}\n"},
    ),
    ("drop-line", "p if input.a\n", {"p if true\n"}),
    ("drop-line", "p if { input.a; input.b }\n", {"p if { true; input.b }\n", "p if { input.a; true }\n"}),
    ("drop-line", "p if {\n\tsome x\n\tinput.a[x]\n}\n", {"p if {\n\tsome x\n}\n"}),
    ("drop-not", "p if not input.a\n", {"p if input.a\n"}),
    ("add-not", "p if input.a\n", {"p if not input.a\n"}),
    ("add-not", 'p if startswith(input.a, "x")\n', {'p if not startswith(input.a, "x")\n'}),
    ("add-not", "p if input.a == 1\n", set()),
    ("add-not", "p := x if x := input.a\n", set()),
    (
        "every-to-some",
        "p if {\n\tevery x in input.xs {\n\t\tx > 1\n\t}\n}\n",
        {"p if {\n\tsome x in input.xs \n\t\tx > 1\n\t\n}\n"},
    ),
    ("every-to-some", "p if every x in input.xs { x > 1 }\n", {"p if { some x in input.xs ; x > 1 }\n"}),
    ("never", "p contains 1 if {\n\tinput.a\n}\n", {"p contains 1 if {\n\tfalse\n\tinput.a\n}\n"}),
    ("never", "p contains 1\n", {"p contains 1 if false\n"}),
    ("never", "p if { input.a }\n", {"p if { false; input.a }\n"}),
    ("drop-else", "p := 1 if {\n\tinput.a\n} else := 2\n", {"p := 1 if {\n\tinput.a\n} \n"}),
    (
        "helper-swap",
        "p if q\n\nr if not s\n\nq if input.a\n\ns if input.b\n",
        {
            "p if s\n\nr if not s\n\nq if input.a\n\ns if input.b\n",
            "p if q\n\nr if not q\n\nq if input.a\n\ns if input.b\n",
        },
    ),
    ("compare", "p if input.a <= input.b\n", {"p if input.a < input.b\n"}),
    ("compare", "p if input.a != input.b\n", {"p if input.a == input.b\n"}),
    ("arithmetic", "p := input.a + input.b\n", {"p := input.a - input.b\n"}),
    ("set-operation", "p := {1} & {2}\n", {"p := {1} | {2}\n"}),
    ("call-swap", 'p if startswith(input.a, "x")\n', {'p if contains(input.a, "x")\n'}),
    ("unwrap", "p := lower(input.a)\n", {"p := input.a\n"}),
    ("bound", "p if input.a < 10\n", {"p if input.a < 11\n", "p if input.a < 9\n"}),
    ("boolean", "p if input.a == true\n", {"p if input.a == false\n"}),
    ("string", 'p if input.a == "é"\n', {'p if input.a == "é_mutant"\n'}),
    ("string", "p if input.a == `x`\n", {"p if input.a == `x_mutant`\n"}),
    ("glob-widen", 'p if glob.match("/tmp/*", ["/"], input.a)\n', {'p if glob.match("/tmp/**", ["/"], input.a)\n'}),
    ("glob-widen", 'p if glob.match("/a/**", ["/"], input.a)\n', {'p if glob.match("/**", ["/"], input.a)\n'}),
    (
        "regex-anchor",
        "p if regex.match(`^a$`, input.a)\n",
        {"p if regex.match(`a$`, input.a)\n", "p if regex.match(`^a`, input.a)\n"},
    ),
]  # fmt: skip - one line for one case, where it fits
HEAD = "package m\n\n"


def mutants_of(rule: str, folder: Path, opa: OpaTool) -> list[Mutant]:
    (folder / "m").mkdir(exist_ok=True)
    (folder / "m/m.rego").write_text(HEAD + rule, "utf-8")
    found, _ = all_mutants(read_tree(folder, opa, jobs=1))
    return found


@pytest.mark.parametrize(("operator", "rule", "wanted"), RULES)
def test_operator_makes_exactly_these(operator: str, rule: str, wanted: set[str], tmp_path: Path, opa: OpaTool) -> None:
    """An operator makes the mutants listed for a rule, and no others."""
    made = {m.text().removeprefix(HEAD) for m in mutants_of(rule, tmp_path, opa) if m.change.operator == operator}
    assert made == wanted


def test_every_rule_operator_has_a_case() -> None:
    """No operator on rules is without an example above; those on data only are tested beside the data."""
    assert {operator for operator, _, _ in RULES} == set(OPERATORS) - {"remove-entry", "wildcard-entry"}


def test_mutants_are_rego(tmp_path: Path, opa: OpaTool) -> None:
    """Whatever an operator makes of the rules above still parses."""
    for number, (_, rule, _) in enumerate(RULES):
        folder = tmp_path / str(number)
        folder.mkdir()
        for mutant in mutants_of(rule, folder, opa):
            (folder / "mutant.rego").write_text(mutant.text(), "utf-8")
            assert opa.parse("mutant.rego", cwd=folder)["rules"], mutant.change


def test_one_line_else_is_left_alone_where_opa_misplaces_it(tmp_path: Path, opa: OpaTool) -> None:
    """OPA gives every part of a one-line `else` the place of the whole: nothing is spliced there by accident."""
    made = mutants_of('p := 1 if input.a else := 2 if input.b == "x"\n', tmp_path, opa)
    assert all(m.text().count("else") == 1 or m.change.operator in {"drop-else", "drop-line"} for m in made)
    assert not [m for m in made if "x_mutant" in m.text() and 'input.b == "x_mutant"' not in m.text()]


def test_ids_do_not_depend_on_lines(tmp_path: Path, opa: OpaTool) -> None:
    """An edit above a rule renames none of its mutants; they only move."""
    rule = "p if {\n\tinput.a > 1\n\tnot input.b\n}\n"
    before = mutants_of(rule, tmp_path, opa)
    after = mutants_of(f"# a comment\n\nother := 5\n\n{rule}", tmp_path, opa)
    moved = [mutant for mutant in after if mutant.change.scope == "m.p"]
    assert [m.id for m in moved] == [m.id for m in before]
    assert [m.line for m in moved] == [m.line + 4 for m in before]


def test_equal_places_have_ids_of_their_own(tmp_path: Path, opa: OpaTool) -> None:
    """Two rules with the same words do not share an id."""
    made = mutants_of("p if input.a\n\np if input.a\n", tmp_path, opa)
    assert len({m.id for m in made}) == len(made) > 2


def test_tests_are_not_mutated(tmp_path: Path, opa: OpaTool) -> None:
    """Files of tests are read, never changed."""
    (tmp_path / "m_test.rego").write_text("package m_test\n\ntest_x if true == true\n", "utf-8")
    assert {m.source.path for m in mutants_of("p if input.a\n", tmp_path, opa)} == {"m/m.rego"}


def test_diff_is_small(tmp_path: Path, opa: OpaTool) -> None:
    """A mutant's diff shows the one line that changed, with its neighbours."""
    made = mutants_of("p if {\n\tinput.a > 1\n\tinput.b\n}\n", tmp_path, opa)
    diff = next(m.source.diff(m.change.edits) for m in made if m.change.operator == "compare")
    assert diff == (
        "--- a/m/m.rego\n+++ b/m/m.rego\n@@ -3,3 +3,3 @@\n p if {\n-\tinput.a > 1\n+\tinput.a >= 1\n \tinput.b\n"
    )
