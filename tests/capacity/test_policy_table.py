"""What the simulated service refuses is what the policy says, asked once for everything that can come up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from executor.policy import PolicyEngine, default_policies_dir
from executor.policy.request import Budget, DecisionRequest, Facts, Host
from harness.simulate import policy_table
from harness.simulate.arrivals import Arrivals
from harness.simulate.durations import Duration
from harness.simulate.load import BudgetPlan, Load, Serving, Source
from harness.simulate.run import simulate


def load(**fields: Any) -> Load:
    """A source of python tasks: 4 ATP and more."""
    source = Source(
        "python",
        Arrivals("every", rates=(1.0,)),
        Duration("constant", (0.5,)),
        capabilities=("base:execute", "fs:write_tmp", "dev:python"),
    )
    serving = Serving(2, 2, memory_mb=4096, vms_max=3)
    return replace(Load("one", "One", serving, (source,), duration_s=7200, budget=BudgetPlan()), **fields)


def test_the_table_says_what_the_engine_says() -> None:
    """At the edges of every rule, table and running engine refuse the same."""
    (answers,) = policy_table.ask(load())
    with PolicyEngine(default_policies_dir()) as engine:
        for balance in (0, answers.cost - 1, answers.cost, 19, 20, 1000):
            for machines in (0, 2, 3):
                intent_input = policy_table._input(
                    load().sources[0], Host(mem_free_mb=4096 - 512 * machines, vms_running=machines, vms_max=3), balance
                )
                decision = engine.decide_document(intent_input)
                said = answers.denial(balance, machines)
                assert decision.allowed == (not said), (balance, machines, decision.codes, said)
                assert not said or said in decision.codes
                assert decision.obligations.atp_cost == answers.cost


def test_who_asks_for_too_much_naps_and_wakes() -> None:
    """A task a second against 1000 ATP and 1000 an hour: naps, grants between them, never a negative balance."""
    found, _ = simulate(load())
    party = found["requesters"]["cbo"]
    (answers,) = policy_table.ask(load())
    affordable = (1000 + 2 * 1000) / answers.cost
    assert party["naps"]["n"] > 1
    assert affordable * 0.95 < party["completed"] <= affordable
    assert found["denied"].keys() == {"atp.nap"}


def test_without_a_budget_nothing_is_spent() -> None:
    """The same load without a budget is served whole."""
    found, _ = simulate(load(budget=None))
    assert found["denied_share"] == 0


def test_a_floor_in_the_load_replaces_the_policys() -> None:
    """With a floor of 0 it is the price that refuses, not the nap."""
    found, _ = simulate(load(budget=BudgetPlan(nap_floor=0)))
    assert found["denied"].keys() == {"atp.insufficient"}


def test_a_full_host_refuses() -> None:
    """More machines than the host takes: the policy's own code."""
    crowded = Serving(2, 4, vms_max=4)
    found, _ = simulate(load(serving=crowded, budget=None))
    assert found["denied"] == {"host.slots": found["tasks"]["arrived"]}


def test_what_the_policy_never_grants_is_refused_always() -> None:
    """A source that asks for the GPU gets the matrix's answer, every time."""
    source = replace(load().sources[0], capabilities=("base:execute", "dev:gpu"))
    found, _ = simulate(load(sources=(source,)))
    assert found["denied_share"] == 1
    assert all(code.startswith(("matrix.", "capabilities.")) for code in found["denied"]), found["denied"]


def test_no_review_is_the_policys_word_too() -> None:
    """Without a review the code is the one the policy gives."""
    (answers,) = policy_table.ask(load())
    facts = Facts(reviews=(), budget=Budget(1000))
    with PolicyEngine(default_policies_dir()) as engine:
        intent_input = DecisionRequest(policy_table._intent(load().sources[0]), facts).document(now=policy_table.MOMENT)
        assert answers.unreviewed in engine.decide_document(intent_input).codes


def test_a_broken_policy_folder_is_told(tmp_path: Any) -> None:
    """No policies, no simulation: the error names the folder."""
    with pytest.raises(Exception, match=str(tmp_path)):
        simulate(load(budget=BudgetPlan(policies=tmp_path)))
