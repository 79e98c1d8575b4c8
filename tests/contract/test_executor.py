"""The contract of `executor.api.Executor`: what every engine does with a request, the real ones and the simulator."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from executor.api import LeaseLife, LeaseStep
from executor.channel.session import COLLECT_BYTES
from executor.control.kill import KillOrder
from executor.intent import Command, FileIn, Limits
from executor.outcome import Outcome
from executor.service import LocalExecutor
from executor.svf import machine
from tests.contract.conftest import Ask

MIB = 1024 * 1024


def kinds(outcome: Outcome) -> list[str]:
    return [str(event["type"]) for event in outcome.events]


def test_happy_path_completes_with_output_and_the_executed_trail(executor: LocalExecutor, ask: Ask) -> None:
    """An allowed command runs, its output and exit code come back, its events are exactly the executed trail."""
    outcome = executor.run(ask("echo", "done"))
    assert (outcome.verdict, outcome.effect, outcome.reasons, outcome.engine) == (
        "allow",
        "completed",
        (),
        executor.engine,
    )
    assert [(one.cause, one.exit_code, one.stdout, one.stderr) for one in outcome.results] == [
        ("exited", 0, b"done\n", b"")
    ]
    difference = machine.match_trail(outcome.events, "executed")
    assert (difference.missing, difference.unexpected) == ((), ())
    assert not machine.check_trace(outcome.events, complete=True)


def test_answer_comes_before_the_machine_is_gone_and_nothing_after_it_changes_it(
    executor: LocalExecutor, ask: Ask
) -> None:
    """Told on record up to the release, with the machine there; the outcome differs from it in what was still to do."""
    told: list[Outcome] = []
    seen: list[str] = []

    class Watching:
        def event(self, event: Mapping[str, Any]) -> None:
            seen.append(event["type"])

        def output(self, command: int, stream: int, data: bytes) -> None:
            pass

    def answered(outcome: Outcome) -> None:
        told.append(outcome)
        seen.append("answered")

    outcome = executor.run(ask("echo", "done", answered=answered, observer=Watching()))
    (early,) = told
    assert seen == [*kinds(early), "answered", *kinds(outcome)[len(early.events) :]]
    assert kinds(early)[-2:] == ["exec_event.FINISHED", "resource_event.RELEASED"]
    assert early.events == outcome.events[: len(early.events)]
    assert kinds(outcome)[len(early.events) :] == ["vm_event.DESTROYED", "report_event.PUBLISHED"]
    assert [getattr(early, name) for name in ("effect", "reasons", "results", "files", "lease", "decision")] == [
        getattr(outcome, name) for name in ("effect", "reasons", "results", "files", "lease", "decision")
    ]


@pytest.mark.parametrize("argv", [["rm"], ["sh", "-c", "kill -9 $$"]])
def test_answer_of_a_run_that_failed_is_told_as_well(executor: LocalExecutor, ask: Ask, argv: list[str]) -> None:
    """A failure is an answer; what was denied has none but its outcome."""
    told: list[Outcome] = []
    outcome = executor.run(ask(*argv, answered=told.append))
    assert [one.effect for one in told] == [outcome.effect] != ["completed"]
    assert executor.run(ask("true", env={"LD_PRELOAD": "/x.so"}, answered=told.append)).effect == "denied"
    assert len(told) == 1


def test_commands_run_in_order_until_one_does_not_complete(executor: LocalExecutor, ask: Ask) -> None:
    """The second of three commands fails: the third is not started, the effect is failed."""
    outcome = executor.run(ask(["true"], ["sh", "-c", "exit 7"], ["echo", "never"]))
    assert (outcome.effect, [one.exit_code for one in outcome.results]) == ("failed", [0, 7])
    assert kinds(outcome).count("exec_event.STARTED") == 2


def test_policy_denies_before_anything_runs(executor: LocalExecutor, ask: Ask) -> None:
    """A variable that steers the loader is denied by policy; no lease, no machine, nothing to give back."""
    outcome = executor.run(ask("true", env={"LD_PRELOAD": "/workspace/x.so"}))
    assert (outcome.verdict, outcome.effect, outcome.results, outcome.lease) == ("deny", "denied", (), None)
    assert "env.denied" in outcome.reasons
    assert kinds(outcome)[-1] == "intent_event.REJECTED"


def test_secret_is_refused_by_review(executor: LocalExecutor, ask: Ask) -> None:
    """A private key in a file: cp14 finds it and nothing runs."""
    key = b"-----BEGIN RSA PRIVATE KEY-----\n" + b"QUJDREVG" * 80 + b"\n-----END RSA PRIVATE KEY-----\n"
    outcome = executor.run(ask("true", files=(FileIn("/workspace/key", key),)))
    assert (outcome.effect, outcome.results) == ("denied", ())


@pytest.mark.parametrize(
    ("steps", "reason"), [(("revoke",), "lease.revoked"), (("spend",), "lease.replayed")], ids=["revoked", "spent"]
)
def test_lease_that_lapsed_is_refused(
    executor: LocalExecutor, ask: Ask, steps: tuple[LeaseStep, ...], reason: str
) -> None:
    """A lease taken back or used before is refused at its presentation."""
    outcome = executor.run(ask("true", life=LeaseLife(before_use=steps)))
    assert (outcome.verdict, outcome.effect, outcome.reasons, outcome.results) == ("allow", "refused", (reason,), ())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tamper": {"limits.pids": 4096}}, "lease.signature"),
        ({"life": LeaseLife(clock_shift_s=3600)}, "lease.expired"),
        ({"life": LeaseLife(clock_shift_s=-3600)}, "lease.not_yet"),
        ({"attempt": (Command(("echo", "other")),)}, "lease.command"),
    ],
    ids=["tampered", "expired", "not-yet", "other-command"],
)
def test_lease_that_does_not_carry_the_request_is_refused(
    executor: LocalExecutor, ask: Ask, options: dict[str, Any], reason: str
) -> None:
    """Each way in which a lease does not fit has its own reason, and nothing runs."""
    outcome = executor.run(ask("true", **options))
    assert (outcome.effect, outcome.reasons, outcome.results) == ("refused", (reason,), ())


def test_guest_refuses_what_the_host_let_through(executor: LocalExecutor, ask: Ask) -> None:
    """The lease check is taken away: the guest's own comparison with the lease refuses the command."""
    request = ask("true", attempt=(Command(("echo", "other")),), weaken=frozenset({"lease_check"}))
    outcome = executor.run(request)
    assert (outcome.effect, outcome.reasons) == ("refused", ("guest.command_not_in_lease",))
    assert "exec_event.DENIED" in kinds(outcome)


def test_program_of_another_capability_is_refused(executor: LocalExecutor, ask: Ask) -> None:
    """python3 without dev:python: refused by policy or by the guest, never run."""
    outcome = executor.run(ask("python3", "-c", "print(1)"))
    assert (outcome.effect in {"denied", "refused"}, outcome.results) == (True, ())


def test_wall_clock_ends_a_command(executor: LocalExecutor, ask: Ask) -> None:
    """A command that outlives its time is ended, with the alert before."""
    outcome = executor.run(ask("sleep", "60", limits=Limits(wallclock_timeout_s=3)))
    assert (outcome.effect, outcome.results[0].cause) == ("timeout", "wallclock")
    assert kinds(outcome).index("resource_event.ALERT") < kinds(outcome).index("exec_event.TIMEOUT")


@pytest.mark.parametrize(
    ("argv", "limits", "quota"),
    [
        (["sh", "-c", "i=0; while [ $i -lt 40 ]; do sleep 9 & i=$((i+1)); done; wait"], Limits(pids=8), "pids"),
        (["sh", "-c", "head -c 16000000 /dev/zero > big"], Limits(disk_quota_mb=4), "disk"),
        (["sh", "-c", "yes | head -c 4000000"], Limits(output_mb=1), "output"),
    ],
    ids=["pids", "disk", "output"],
)  # fmt: skip
def test_quota_ends_a_command(executor: LocalExecutor, ask: Ask, argv: list[str], limits: Limits, quota: str) -> None:
    """A command over a quota is killed for it: the effect, the reason and the breach on record say so."""
    outcome = executor.run(ask(*argv, limits=limits))
    assert (outcome.effect, outcome.reasons) == ("breached", (f"quota.{quota}",))
    breaches = [event["data"]["quota"] for event in outcome.events if event["type"] == "resource_event.BREACH"]
    assert breaches == [quota]


def test_signal_is_told(executor: LocalExecutor, ask: Ask) -> None:
    """A command that a signal ended: the effect is killed and the signal comes back."""
    outcome = executor.run(ask("sh", "-c", "kill -9 $$"))
    assert (outcome.effect, outcome.results[0].cause, outcome.results[0].signal) == ("killed", "signaled", 9)


def test_seccomp_kill_is_told_with_the_call(executor: LocalExecutor, ask: Ask) -> None:
    """A forbidden system call: killed by SIGSYS, and the number is the kernel's own."""
    code = "import ctypes; ctypes.CDLL(None).unshare(0x10000000)"
    outcome = executor.run(ask("python3", "-c", code, capabilities=("base:execute", "dev:python")))
    result = outcome.results[0]
    assert (outcome.effect, result.cause, result.signal, result.syscall) == ("killed", "seccomp", 31, 272)


def test_revocation_kills_a_running_command(executor: LocalExecutor, ask: Ask) -> None:
    """A lease taken back while its command runs: killed, and the record says why before it says so."""
    outcome = executor.run(
        ask("sleep", "50", limits=Limits(wallclock_timeout_s=55), life=LeaseLife(revoke_while_running=True))
    )
    assert (outcome.effect, outcome.reasons) == ("killed", ("lease.revoked",))
    assert kinds(outcome).index("lease_event.REVOKED") < kinds(outcome).index("exec_event.KILLED")


class KillingAt:
    """Looks on, and kills the task when `kind` is on record for the first time."""

    def __init__(self, executor: LocalExecutor, kind: str) -> None:
        self._executor = executor
        self._kind = kind
        self.reached: tuple[str, ...] | None = None

    def event(self, event: Mapping[str, Any]) -> None:
        if event["type"] == self._kind and self.reached is None:
            self.reached = self._executor.kill(KillOrder("task", event["intent_id"], "ada", "enough"))

    def output(self, command: int, stream: int, data: bytes) -> None:
        """Not of interest."""


@pytest.mark.parametrize(
    ("kind", "ran"),
    [
        ("task_event.DISPATCHED", 0),
        ("vm_event.ACQUIRED", 0),
        ("rollback_event.CREATED", 0),
        ("exec_event.FINISHED", 1),
    ],
)
def test_kill_order_reaches_a_task_while_no_command_runs(
    executor: LocalExecutor, ask: Ask, kind: str, ran: int
) -> None:
    """While its machine is made, prepared, or between two commands: no further command starts, who did it is told."""
    killing = KillingAt(executor, kind)
    request = ask(["true"], ["echo", "late"], observer=killing)
    outcome = executor.run(request)
    assert killing.reached == (request.intent.intent_id,)
    assert (outcome.effect, outcome.reasons, len(outcome.results)) == ("aborted", ("control.killed",), ran)
    assert kinds(outcome).count("exec_event.STARTED") == ran
    (ended,) = [event["data"] for event in outcome.events if event["type"] == "exec_event.ABORTED"]
    assert ended == {"cause": "control.killed", "scope": "task", "ordered_by": "ada", "why": "enough"}
    assert machine.check_trace(outcome.events, complete=True) == []


def test_kill_order_passes_by_what_only_cleans_up(executor: LocalExecutor, ask: Ask) -> None:
    """Its commands have ended: the order is said to have reached nobody, and the task stays completed."""
    killing = KillingAt(executor, "resource_event.RELEASED")
    assert executor.run(ask("true", observer=killing)).effect == "completed"
    assert killing.reached == ()


def test_kill_switch_ends_a_running_command(executor: LocalExecutor, ask: Ask) -> None:
    """The switch pulled for the task as soon as it runs: killed for that reason."""
    outcome = executor.run(ask("sleep", "50", limits=Limits(wallclock_timeout_s=55),
                               life=LeaseLife(kill_while_running="task")))  # fmt: skip
    assert (outcome.effect, outcome.results[0].cause) == ("killed", "kill_switch")


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["true"], b""),
        (["printf", "\\0\\377\\n\\001"], b"\x00\xff\n\x01"),
        (["head", "-c", "300000", "/dev/zero"], bytes(300_000)),
    ],
    ids=["none", "binary", "large"],
)
def test_output_comes_back_as_it_was_written(executor: LocalExecutor, ask: Ask, argv: list[str], wanted: bytes) -> None:
    """No output, bytes that are no text, and more than one frame: nothing is lost or changed."""
    outcome = executor.run(ask(*argv))
    assert (outcome.effect, outcome.results[0].stdout == wanted) == ("completed", True)


def test_files_go_in_and_come_out(executor: LocalExecutor, ask: Ask) -> None:
    """A file is put in, changed by the command and handed back; a link out of the workspace is refused."""
    script = "cat in.bin in.bin > out.bin && ln -s /etc/passwd link"
    request = ask("sh", "-c", script, files=(FileIn("/workspace/in.bin", b"\x00\x01"),),
                  collect=("/workspace/out.bin", "/workspace/link"))  # fmt: skip
    outcome = executor.run(request)
    found = {file.path: (file.content, bool(file.refused)) for file in outcome.files}
    assert found == {"/workspace/out.bin": (b"\x00\x01\x00\x01", False), "/workspace/link": (b"", True)}


def test_workspace_of_one_task_is_not_the_next_ones(executor: LocalExecutor, ask: Ask) -> None:
    """What one task left is not there for the next."""
    executor.run(ask("touch", "/workspace/left"))
    assert executor.run(ask("test", "-e", "/workspace/left")).results[0].exit_code == 1


def test_an_observer_hears_every_event_in_order_and_the_output(executor: LocalExecutor, ask: Ask) -> None:
    """Events reach the observer as they are recorded, output as it comes."""
    heard: list[Mapping[str, Any]] = []
    written = bytearray()

    class Observer:
        def event(self, event: Mapping[str, Any]) -> None:
            heard.append(event)

        def output(self, command: int, stream: int, data: bytes) -> None:
            assert (command, stream) == (1, 1)
            written.extend(data)

    outcome = executor.run(ask("echo", "heard", observer=Observer()))
    assert [event["seq"] for event in heard] == [event["seq"] for event in outcome.events]
    assert bytes(written) == b"heard\n"


def test_two_requests_at_once_do_not_touch_each_other(executor: LocalExecutor, ask: Ask) -> None:
    """Two threads, two requests: each gets its own machine, its own output and its own whole trail."""
    outcomes: dict[str, Outcome] = {}

    def go(word: str) -> None:
        outcomes[word] = executor.run(ask("sh", "-c", f"sleep 1; echo {word}"))

    threads = [threading.Thread(target=go, args=(word,)) for word in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert {word: outcome.results[0].stdout for word, outcome in outcomes.items()} == {"one": b"one\n", "two": b"two\n"}
    assert outcomes["one"].vm_id != outcomes["two"].vm_id
    for outcome in outcomes.values():
        difference = machine.match_trail(outcome.events, "executed")
        assert (difference.missing, difference.unexpected) == ((), ())


def test_statistics_are_json_and_no_machine_is_left(executor: LocalExecutor, ask: Ask) -> None:
    """Counters can be serialised; after a run no task's machine is alive."""
    before = executor.statistics()["machines"]["acquired"]
    executor.run(ask("true"))
    found = json.loads(json.dumps(executor.statistics()))
    assert found["machines"]["acquired"] == before + 1


ODD_NAMES = r"""
import os
os.mkdir("o")
os.chdir("o")
for name in (b"a\xff", b"new\nline", "\u00e4".encode(), b"-rf \x1b[31m"):
    open(name, "w").write("x")
os.mkdir(b"d\x80")
open(b"d\x80/in", "w").write("x")
os.mkdir("deep")
os.chdir("deep")
for _ in range(20):
    os.mkdir("n" * 250)
    os.chdir("n" * 250)
"""


def test_whatever_a_task_calls_its_files_it_ends_as_it_did(executor: LocalExecutor, ask: Ask) -> None:
    """Names that are no text and paths longer than any message's are refused one by one; the rest goes on."""
    options: dict[str, Any] = {"capabilities": ("base:execute", "dev:python"), "collect": ("/workspace/o",)}
    outcome = executor.run(ask("python3", "-c", ODD_NAMES, **options))
    assert (outcome.effect, outcome.reasons, outcome.message) == ("completed", (), "")
    found = {file.path.removeprefix("/workspace/o/"): file.refused or file.content for file in outcome.files}
    (long,) = [path for path in found if path.startswith("deep/")]
    assert (len(f"/workspace/o/{long}"), found.pop(long)) == (4096, "its path is too long")
    no_text = "its name is no UTF-8"
    assert found == {
        "-rf \x1b[31m": b"x", "a\\xff": no_text, "d\\x80": no_text, "new\nline": b"x", "\u00e4": b"x",
    }  # fmt: skip


@pytest.mark.parametrize("more", [0, 1])
def test_file_is_handed_back_up_to_exactly_the_cap(executor: LocalExecutor, ask: Ask, more: int) -> None:
    """8 MiB come back whole; one byte more is refused with the reason, and neither is a fault of the guest's."""
    code = f"open('big', 'wb').write(b'x' * ({COLLECT_BYTES} + {more}))"
    options: dict[str, Any] = {"capabilities": ("base:execute", "dev:python"), "collect": ("/workspace/big",)}
    outcome = executor.run(ask("python3", "-c", code, limits=Limits(disk_quota_mb=16), **options))
    assert (outcome.effect, outcome.reasons) == ("completed", ())
    (file,) = outcome.files
    assert (len(file.content), bool(file.refused)) == (0 if more else COLLECT_BYTES, bool(more))
