"""Answers that are remembered equal those that would have been given, whatever of the input varies."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from harness.policydir import OpaTool
from harness.replay.bulk import BulkDecider
from harness.replay.memo import Memo
from harness.replay.reads import reading_rules, reads_module, without_varying
from tests.replay.conftest import document

Json = dict[str, Any]

LEASE: Final = {
    "id": "lease-9",
    "intent_id": "intent-9",
    "requester": "cp18",
    "priority": "NORMAL",
    "write": ["/workspace/**"],
    "expires_at": 1_700_000_050,
}


def variants(base: Json) -> list[Json]:
    """`base` under other ids, at other times, with other balances, histories, hosts and leases beside it."""
    changes: list[tuple[tuple[str, ...], list[Any]]] = [
        (("now",), [0, -1, 1_700_000_049, 1_700_000_050, 1_800_000_000]),
        (("intent", "id"), ["intent-77", "bad id", "", "x" * 200]),
        (("facts", "budget", "atp"), [0, 1, 2, 5, 19, 20, 21, 500]),
        (("facts", "history", "violations"), [0, 1, 2, 3, 9]),
        (("facts", "history", "runs"), [0, 1]),
        (("facts", "host", "vms_running"), [0, 7, 8]),
        (("facts", "host", "mem_free_mb"), [0, 100_000]),
        (("facts", "active_leases"), [[], [LEASE], [{**LEASE, "expires_at": 1_699_999_999}]]),
    ]
    result = [base, copy.deepcopy(base)]
    for path, values in changes:
        for value in values:
            one = copy.deepcopy(base)
            inner: Any = one
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = value
            result += [one, copy.deepcopy(one)]
    return result


@pytest.mark.parametrize("brief", [False, True])
def test_a_remembered_answer_is_the_answer(policies: Path, *, brief: bool) -> None:
    """With memory and without, every input gets the same answer, though most of them are not asked."""
    inputs = [
        one
        for number in range(3)
        for base in (
            document(1),
            document(2, capabilities=["base:execute", "dev:gpu"]),
            document(3, phase="production"),
        )
        for one in variants(base)[number:]
    ]
    memo = Memo()
    with BulkDecider(policies) as plain, BulkDecider(policies, memo=memo) as other:
        wanted = plain.answers(inputs, brief=brief)
        given = [
            answer
            for begin in range(0, len(inputs), 40)
            for answer in other.answers(inputs[begin : begin + 40], brief=brief)
        ]
    for answer in (*given, *wanted):
        answer.pop("policy_digest", None)  # of the copy that was asked, and one has a module more
    assert given == wanted
    assert memo.hits > len(inputs) / 3
    assert len({tuple(sorted(r["code"] for r in answer["reasons"])) for answer in wanted}) > 6


def test_a_rule_that_looks_at_an_id_is_heard(policies: Path, tmp_path: Path) -> None:
    """A denial that depends on the id alone, through a function in another package, is made for the right ids only."""
    copied = Path(shutil.copytree(policies, tmp_path / "policies"))
    for name, text in {
        "odd": 'odd(intent) if endswith(intent.id, "7")\n',
        "rules/number": (
            "import data.cordon.odd\n\nlucky if odd.odd(input.intent)\n\n"
            'deny contains {"code": "number.odd", "msg": "odd", "remedy": "another"} if lucky\n'
        ),
    }.items():
        folder = copied / "cordon" / name
        folder.mkdir()
        (folder / "it.rego").write_text(f"package cordon.{name.replace('/', '.')}\n\n{text}", "utf-8")
    inputs = []
    for number in range(60):
        one = document(1)
        one["intent"]["id"] = f"intent-{number}"
        inputs.append(one)
    memo = Memo()
    with BulkDecider(copied, memo=memo) as decider:
        answers = [answer for begin in range(0, 60, 12) for answer in decider.answers(inputs[begin : begin + 12])]
    assert memo.hits > 20
    denied = [number for number, answer in enumerate(answers) if not answer["allow"]]
    assert denied == [7, 17, 27, 37, 47, 57]


def parse(opa: OpaTool, folder: Path, *texts: str) -> list[Json]:
    trees = []
    for number, text in enumerate(texts):
        (folder / f"{number}.rego").write_text(text, "utf-8")
        trees.append(opa.parse(f"{number}.rego", cwd=folder, locations=False))
    return trees


@pytest.mark.parametrize(
    ("texts", "rules"),
    [
        (["package a\n\nx if input.now > 1\n\ny if input.nowhere > 1\n\nz if x\n"], ["a.x"]),
        (["package a\n\nx if input.intent.id\n\ny if input.intent.phase\n"], ["a.x"]),
        (["package a\n\nx contains k if some k, _ in input.intent\n\ny := input\n"], ["a.x", "a.y"]),
        (["package a\n\nx[name] := v if { some name in [1]; v := input.facts[name] }\n"], ["a.x"]),
        (["package a\n\nimport input.intent as i\n\nx if i.id == 1\n\ny if i.phase == 1\n"], ["a.x"]),
        (["package a\n\nf(x) if x.id\n\ny if f(input.intent)\n\nz if f(input.intent.limits)\n"], ["a.y"]),
        (
            [
                "package a.b\n\nimport data.c\n\nx if c.f(1)\n\ny if data.c.g(1)\n\nz if c.k\n",
                "package c\n\nf(n) if n < input.now\n\ng(n) if f(n)\n\nk := 1\n",
            ],
            ["a.b.x", "a.b.y"],
        ),
        (["package a\n\ndefault x := 1\n\nx := 2 if false\nelse := input.now\n"], ["a.x"]),
        (["package a\n\nx := {k | some k in [input][_].now}\n"], ["a.x"]),
        (["package a\n\nx if every k in [1] { k < input.facts.host.cpu }\n"], ["a.x"]),
        (["package a\n\nx if y with input as {}\n\ny := 1\n"], None),
        (["package a\n\nx if time.now_ns() > 5\n"], None),
    ],
)
def test_which_rules_look(texts: list[str], rules: list[str] | None, tmp_path: Path, opa: OpaTool) -> None:
    """Rules that refer to what varies, to what is around it, or that call a function that does; no others."""
    found = reading_rules(parse(opa, tmp_path, *texts))
    assert (None if found is None else [".".join(path) for path in found]) == rules


def test_our_own_rules_can_be_remembered(policies: Path, opa: OpaTool) -> None:
    """Our policies change no input and ask no clock; a few of their rules look at what varies."""
    module = reads_module(policies, opa)
    assert module is not None
    assert "cordon.rules.shape.plain_id" in module
    assert "cordon.rules.paths" not in module


def test_what_varies_is_left_out() -> None:
    """Only the varying parts go; what surrounds them stays, and the input itself is not touched."""
    whole = {"now": 1, "intent": {"id": "x", "phase": "staging"}, "facts": {"host": {"a": 1}, "lease": {}}}
    before = copy.deepcopy(whole)
    assert without_varying(whole) == {"intent": {"phase": "staging"}, "facts": {"lease": {}}}
    assert whole == before


def test_a_number_is_no_boolean() -> None:
    """Inputs that Python takes for equal and OPA does not have different keys."""
    keys = {Memo().key({"x": value}) for value in (1, True, 1.0, "1", None)}
    assert len(keys) == 5
