"""The engine on a real OPA: asked, hurt, replaced, reloaded."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from executor.clock import ManualClock
from executor.errors import PolicyUnavailableError
from executor.policy import DecisionRequest, Facts, Host, PolicyEngine, load_bundle
from executor.policy.engine import RETRY_AFTER_S

CONSTANT = "package cordon\n\n# METADATA\n# entrypoint: true\n"


def copy_of(policies: Path, to: Path) -> Path:
    """The policies, to be changed."""
    return Path(shutil.copytree(policies, to))


def wait_until_gone(pid: int) -> None:
    """Return when process `pid` has been killed and is known to be dead."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOWAIT)
    finally:
        os.close(descriptor)


def test_hello_is_allowed(engine: PolicyEngine, hello: DecisionRequest) -> None:
    """Hello, Staging by cbo with cp14's yes is allowed, by the matrix, with its obligations."""
    decision = engine.decide(hello)
    assert (decision.verdict, decision.codes, decision.cause) == ("allow", (), "")
    assert {(grant.name, grant.by) for grant in decision.grants} == {
        ("base:execute", "matrix cbo/none/staging"),
        ("echo", "matrix cbo/none/staging, programs coreutils"),
    }
    assert decision.obligations.limits == hello.intent.limits
    assert decision.obligations.scope.write == ("/workspace/**",)
    assert decision.policy_digest == engine.digest
    assert engine.is_current(decision)


def test_denials_carry_every_reason(engine: PolicyEngine, hello: DecisionRequest) -> None:
    """Whatever denies is told, each with what to do about it."""
    request = DecisionRequest(hello.intent, Facts(host=Host(vms_running=8)))
    decision = engine.decide(request)
    assert (decision.verdict, decision.codes) == ("deny", ("host.slots", "reviews.missing"))
    assert [reason.msg for reason in decision.reasons] == [
        "All places for VMs are taken",
        'A review that is needed has not passed: "cp14"',
    ]
    assert all(reason.remedy for reason in decision.reasons)


def test_hostile_strings_are_judged_not_feared(engine: PolicyEngine, hello: DecisionRequest) -> None:
    """NUL, lone surrogates and look-alikes in a request are a denial, not an error."""
    intent = replace(hello.intent, collect=("/workspace/\0", "/workspace/\ud800", "/workspace/\u0430"))
    assert engine.decide(DecisionRequest(intent, hello.facts)).codes == ("paths.not_plain",)


def test_an_input_that_does_not_fit_is_malformed(engine: PolicyEngine, hello: DecisionRequest) -> None:
    """OPA is not asked what the schema refuses; the cause names the field."""
    document = hello.document(now=1)
    document["intent"]["phase"] = "prod"
    decision = engine.decide_document(document)
    assert (decision.verdict, decision.cause) == ("malformed", "input_invalid")
    assert "policy input.intent.phase" in decision.reasons[0].msg
    assert decision.reasons[0].remedy.startswith("Correct the field")


def test_digest_is_of_what_is_loaded(engine: PolicyEngine, policies: Path) -> None:
    """The engine's digest is the bundle's, and tests are no part of it."""
    bundle = load_bundle(policies)
    assert engine.digest == bundle.digest
    assert not [path for path in bundle.files if path.endswith("_test.rego")]


def test_a_killed_opa_is_malformed_and_replaced(policies: Path, hello: DecisionRequest) -> None:
    """After kill -9 of OPA one decision is malformed; the next is made by a new OPA of the same policy."""
    events: list[tuple[str, Mapping[str, Any]]] = []
    with PolicyEngine(policies, on_event=lambda name, data: events.append((name, data))) as engine:
        before = engine.opa_pid
        wait_until_gone(before)
        broken = engine.decide(hello)
        assert (broken.verdict, broken.cause) == ("malformed", "unreachable")
        assert engine.decide(hello).verdict == "allow"
        assert engine.opa_pid not in {0, before}
        loaded = {"policy_digest": engine.digest}
        assert events == [
            ("policy_event.LOADED", {**loaded, "cause": "start"}),
            ("policy_event.LOADED", {**loaded, "cause": "recovered"}),
        ]


def test_a_hung_opa_is_replaced_in_place(policies: Path, hello: DecisionRequest) -> None:
    """An OPA that does not answer costs one timeout and is killed; the same engine answers from a new one."""
    with PolicyEngine(policies, timeout_s=2) as engine:
        engine.decide(hello)
        hung = engine.opa_pid
        os.kill(hung, signal.SIGSTOP)
        os.waitid(os.P_PID, hung, os.WSTOPPED | os.WNOWAIT)  # the signal is on its way until every thread has seen it
        assert engine.decide(hello).cause == "timeout"
        assert engine.decide(hello).verdict == "allow"
        assert engine.opa_pid != hung
        assert not Path(f"/proc/{hung}").exists()
        assert engine.statistics() == {
            "allow": 2, "deny": 0, "malformed": 1, "starts": 2, "recoveries": 1, "policy_digest": engine.digest,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        ('decision := "yes"', "garbage"),
        ('decision := {"allow": true}', "garbage"),
        ("decision := true if input.now < 0", "undefined"),
        ("decision := 1 if input.now > 0\n\ndecision := 2 if input.now > 1", "conflict"),
    ],
    ids=["text", "half", "undefined", "conflict"],
)
def test_answers_that_are_no_decisions(toy: Path, hello: DecisionRequest, rule: str, cause: str) -> None:
    """What a policy says that is not a decision is malformed, with its cause; OPA is not blamed for it."""
    (toy / "cordon" / "decision.rego").write_text(f"{CONSTANT}{rule}\n")
    with PolicyEngine(toy) as engine:
        pid = engine.opa_pid
        decision = engine.decide(hello)
        assert (decision.verdict, decision.cause, decision.codes) == ("malformed", cause, (f"policy.{cause}",))
        assert engine.opa_pid == pid


def test_a_decision_of_another_policy_is_not_taken(toy: Path, policies: Path, hello: DecisionRequest) -> None:
    """An answer that carries another digest than the loaded one's is malformed, however well formed."""
    with PolicyEngine(policies) as engine:
        answer = engine.decide(hello).to_json()
    answer = {key: value for key, value in answer.items() if key not in {"verdict", "cause"}}
    answer["policy_digest"] = "sha256:" + 64 * "0"
    (toy / "cordon" / "decision.rego").write_text(f"{CONSTANT}decision := {json.dumps(answer)}\n")
    with PolicyEngine(toy) as engine:
        assert engine.decide(hello).cause == "digest_mismatch"


def test_reload_changes_the_decision_and_is_noticed(tmp_path: Path, policies: Path, hello: DecisionRequest) -> None:
    """A decision made before a reload is not current after it: it has to be made again, and may come out otherwise."""
    source = copy_of(policies, tmp_path / "p")
    with PolicyEngine(source) as engine:
        before = engine.decide(hello)
        data = source / "cordon/rules/matrix/data.yaml"
        row = '["base:execute", "fs:write_tmp", "dev:python", "dev:compiler", "exec:artefact", "res:high_cpu"]'
        data.write_text(data.read_text().replace(row, "[]"))
        assert engine.is_current(before)
        assert engine.reload() != before.policy_digest
        assert not engine.is_current(before)
        after = engine.decide(hello)
        assert (after.verdict, after.codes) == ("deny", ("matrix.not_granted",))
        assert engine.is_current(after)


@pytest.mark.parametrize("mistake", ["syntax", "conflict with data", "yaml"])
def test_a_reload_that_fails_changes_nothing(
    tmp_path: Path, policies: Path, hello: DecisionRequest, mistake: str
) -> None:
    """Policies that OPA does not take leave the loaded ones in place, and the reason is told."""
    source = copy_of(policies, tmp_path / "p")
    with PolicyEngine(source) as engine:
        before, pid = engine.digest, engine.opa_pid
        if mistake == "syntax":
            (source / "cordon/rules/host/host.rego").write_text("package cordon.rules.host\n\ndeny contains {\n")
        elif mistake == "yaml":
            (source / "cordon/rules/host/data.yaml").write_text("reserve: {mem_mb: [")
        else:
            (source / "cordon/rules/host/data.yaml").write_text("deny: []\n")
        with pytest.raises(PolicyUnavailableError):
            engine.reload()
        assert (engine.digest, engine.opa_pid) == (before, pid)
        assert engine.decide(hello).verdict == "allow"


def test_nobody_notices_a_reload(policies: Path, hello: DecisionRequest) -> None:
    """Sixteen clients ask while the engine reloads: each gets a decision, none a malformed one."""
    with PolicyEngine(policies, timeout_s=60) as engine:  # a slow machine is not the matter here
        stop = threading.Event()

        def ask() -> set[str]:
            seen: set[str] = set()
            while not stop.is_set():
                seen.add(engine.decide(hello).verdict)
            return seen

        with ThreadPoolExecutor(16) as pool:
            clients = [pool.submit(ask) for _ in range(16)]
            try:
                for _ in range(3):
                    engine.reload()
            finally:
                stop.set()
        assert [client.result() for client in clients] == [{"allow"}] * 16
        assert engine.statistics()["starts"] == 4


def test_an_opa_that_cannot_be_started_again_is_tried_again_later(
    tmp_path: Path, opa: Path, policies: Path, hello: DecisionRequest
) -> None:
    """While OPA cannot start every decision is malformed, without a start each; when it can, the engine recovers."""
    program = tmp_path / "opa"
    program.symlink_to(opa)
    clock = ManualClock()
    with PolicyEngine(policies, opa=program, clock=clock) as engine:
        program.unlink()
        wait_until_gone(engine.opa_pid)
        assert [engine.decide(hello).cause for _ in range(2)] == ["unreachable", "unavailable"]
        program.symlink_to(opa)
        assert engine.decide(hello).cause == "unavailable"
        clock.advance(RETRY_AFTER_S)
        assert engine.decide(hello).verdict == "allow"


def test_closed_is_closed(policies: Path, hello: DecisionRequest) -> None:
    """After `close` there is no OPA and no decision; a second `close` is silent."""
    engine = PolicyEngine(policies)
    pid = engine.opa_pid
    engine.close()
    engine.close()
    assert not Path(f"/proc/{pid}").exists()
    assert engine.decide(hello).cause == "unavailable"
    with pytest.raises(PolicyUnavailableError):
        engine.reload()
    assert engine.decide(hello).cause == "unavailable"


def test_no_policies_no_engine(tmp_path: Path) -> None:
    """An engine without policies does not come to be."""
    with pytest.raises(PolicyUnavailableError, match="no policies at"):
        PolicyEngine(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PolicyUnavailableError, match="there is no policy"):
        PolicyEngine(tmp_path / "empty")
