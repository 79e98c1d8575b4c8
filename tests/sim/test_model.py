"""The simulator's parts: the filter is the profile's, the clock jumps, a puppet is confined, a seed fixes a run."""

from __future__ import annotations

import errno
import json
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.channel.channel_pb2 import Finished, Output
from executor.channel.session import Denial
from executor.intent import Command, FileIn, Limits
from executor.machine import Profile
from executor.sim.clock import SimClock
from executor.sim.kernel.filter import ALLOW, KILL, Filter, numbers
from executor.sim.provider import SimProvider
from executor.sim.puppeteer import Puppet, SharedZygote
from harness.reference import truth_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def provider() -> Iterator[SimProvider]:
    """Machines without an executor around them."""
    made = SimProvider(SimClock(10**18))
    yield made
    made.close()


def run(
    provider: SimProvider,
    *argv: str,
    weaken: frozenset[str] = frozenset(),
    script: str = "",
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> tuple[Finished, str]:
    """One command on a fresh machine: how it ended, and what it wrote."""
    machine = provider.acquire(Profile(), weaken)
    written = ""
    try:
        with provider.clock.actor():
            assert machine.session.prepare(
                "lease", capabilities=("base:execute", "dev:python"), paths_write=("/workspace/**",), env_allowlist=(),
                commands=(argv,), limits=limits,
            ) is None  # fmt: skip
            assert machine.session.put_file(FileIn("/workspace/script.py", script.encode())) is None
            assert not isinstance(machine.session.start("task", Command(argv), {}), Denial)
            for part in machine.session.follow("task", provider.clock.monotonic_ns() + 10**11):
                if isinstance(part, Output):
                    written += part.data.decode()
                elif isinstance(part, Finished):
                    return part, written
    finally:
        machine.destroy()
    raise AssertionError("the command did not end")


def test_filter_answers_as_the_truth_table_says() -> None:
    """Every named call, without arguments and with those that decide, is answered as the profile's own table."""
    profile = json.loads((ROOT / "executor/guest/seccomp.json").read_text())
    made = Filter.of(profile)
    cases = json.loads((ROOT / "scenarios/seccomp/cases.json").read_text())
    for name, arguments in [*((name, ()) for name in numbers().values()), *cases]:
        wanted = truth_table.verdict(profile, name, arguments)
        found = made.answer(name, arguments)
        assert {ALLOW: "allowed", KILL: "killed"}.get(found, found) == wanted or wanted == errno.errorcode[found]


def test_calls_are_those_of_the_truth_table() -> None:
    """The simulator and the truth table know the same numbers."""
    assert dict(numbers()) == truth_table.calls()


def test_time_jumps_to_the_earliest_moment_waited_for() -> None:
    """Two actors wait: the clock goes to the earlier moment, then to the later, and never back."""
    clock = SimClock(0)
    seen: list[tuple[str, int]] = []
    together = threading.Barrier(2)

    def wait(name: str, moment: int) -> None:
        with clock.actor():
            together.wait(30)
            clock.wait_until(moment)
            seen.append((name, clock.now_ns()))

    threads = [threading.Thread(target=wait, args=pair) for pair in (("late", 9_000), ("early", 5_000))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [("early", 5_000), ("late", 9_000)]


def test_a_minutes_sleep_takes_no_minute_and_is_told_as_one(provider: SimProvider) -> None:
    """Virtual time: the command's duration is the sleep, whatever the real clock says."""
    finished, _ = run(provider, "sleep", "25")
    assert (finished.cause, finished.duration_ns // 10**9) == (Finished.EXITED, 25)


def test_a_program_reaches_the_model_and_nothing_else(provider: SimProvider) -> None:
    """Python's own way into the real kernel: what is not the model's is refused by the helper's filter."""
    script = (
        "import os\n"
        "real = os.getcwd.__globals__['call'].__globals__['real']\n"
        "tries = [(real.open, ('/etc/passwd', 0)), (real.kill, (1, 0)), (real.execv, ('/bin/true', ['true']))]\n"
        "for call, given in tries:\n"
        "    try:\n"
        "        call(*given)\n"
        "        print('GOT THROUGH')\n"
        "    except OSError as error:\n"
        "        print(error.errno)\n"
    )
    _, written = run(provider, "python3", "/workspace/script.py", script=script)
    assert written.split() == ["1", "1", "1"]


def test_what_is_not_modelled_is_named_and_ends_the_program(provider: SimProvider) -> None:
    """A call without a model: the program is ended and the output says which."""
    code = "import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(317), 1, 0, 0); print('never')"
    finished, written = run(provider, "python3", "-c", code)
    assert finished.signal == 9
    assert written == "CORDON-UNMODELLED the system call seccomp\n"


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Two providers of one seed: the same program sees the same random numbers and the same times."""
    code = "import os, time; print(os.urandom(8).hex(), time.time_ns())"
    found = []
    for _ in range(2):
        made = SimProvider(SimClock(10**18), seed=7)
        found.append(run(made, "python3", "-c", code)[1])
        made.close()
    assert found[0] == found[1]


def test_a_busy_host_is_no_event_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time never reads the wall clock: a program that has to wait for a processor takes no longer for it."""
    told = Puppet.waiting
    looks = 0

    def late(puppet: Puppet, timeout_s: float) -> bool:
        nonlocal looks
        looks += 1
        return looks % 5 == 0 and told(puppet, timeout_s)

    durations = []
    for waiting in (told, late):
        monkeypatch.setattr(Puppet, "waiting", waiting)
        made = SimProvider(SimClock(10**18), seed=7)
        durations.append(run(made, "python3", "-c", "import os; os.stat('/'); print(sum(range(9)))")[0].duration_ns)
        made.close()
    assert durations[0] == durations[1]


def test_a_program_that_only_computes_ends_at_its_wall_clock_to_the_nanosecond(provider: SimProvider) -> None:
    """What it used of a real processor varies; the moments at which the machine looks do not."""
    finished, _ = run(provider, "python3", "-c", "while True: pass", limits=Limits(wallclock_timeout_s=3))
    assert (finished.cause, finished.duration_ns) == (Finished.WALLCLOCK, 3 * 10**9)


def test_a_guest_has_its_own_modules_of_the_helpers_names(provider: SimProvider) -> None:
    """Nothing of the helper's is imported by a guest's program: a file beside it of the same name is what it gets."""
    own = "{'wire', 'shim', 'applets', 'shell', 'models', 'model_ctypes'}"
    code = f"import sys; print([name for name in sys.modules if name.partition('.')[0] in {own}])"
    assert run(provider, "python3", "-c", code)[1] == "[]\n"


def test_taking_a_control_away_changes_the_answer(provider: SimProvider) -> None:
    """The model follows the agent's configuration: without the filter and Yama the same call succeeds."""
    code = "import ctypes; print(ctypes.CDLL(None).ptrace(0, 0, 0, 0))"
    killed, _ = run(provider, "python3", "-c", code)
    allowed, written = run(provider, "python3", "-c", code, weaken=frozenset({"seccomp", "lockdown"}))
    assert (killed.cause, killed.syscall, allowed.cause, written) == (Finished.SECCOMP, 101, Finished.EXITED, "0\n")


def test_executors_of_a_process_share_one_helper() -> None:
    """It is started once and outlives all but the last; whoever comes after that gets another."""
    shared = SharedZygote()
    one, two = shared.borrow(), shared.borrow()
    shared.give_back(one)
    states = [one is two, one.alive]
    shared.give_back(two)
    states.append(one.alive)
    three = shared.borrow()
    states += [three is one, three.alive]
    shared.give_back(three)
    assert states == [True, True, False, False, True]


@pytest.mark.parametrize(("weaken", "share"), [(frozenset(), 0.25), (frozenset({"cgroup"}), 1.0)])
def test_a_busy_program_has_its_share_of_the_processor(
    provider: SimProvider, weaken: frozenset[str], share: float
) -> None:
    """Its control group makes it slow; without one it has all of it."""
    limits = Limits(cpu_quota=25, wallclock_timeout_s=20)
    ended, _ = run(provider, "python3", "-c", "while True: pass", weaken=weaken, limits=limits)
    assert ended.cause == Finished.WALLCLOCK
    assert ended.usage.cpu_usec * 1000 / ended.duration_ns == pytest.approx(share, rel=0.02)


def test_a_loop_of_the_shells_takes_no_seconds(provider: SimProvider) -> None:
    """The model of a shell is slower than a shell is on an emulated processor: the task does not pay for that."""
    loop = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; echo $i"
    ended, written = run(provider, "sh", "-c", loop, limits=Limits(cpu_quota=10, wallclock_timeout_s=5))
    assert (ended.cause, written) == (Finished.EXITED, "3000\n")


def test_a_helper_is_heard_over_any_descriptor(provider: SimProvider) -> None:
    """A service holds many; select() knows those below 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        ended, _ = run(provider, "python3", "-c", "sum(range(5_000_000))")
    finally:
        for handle in held:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ended.cause == Finished.EXITED
