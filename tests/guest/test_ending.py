"""Why a command ended, judged from facts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.guest.ending import Ending, Facts, SeccompKill, judge, parse_audit

KILL = SeccompKill(pid=7, syscall=321, arch=0xC000003E)
LINE = (
    "5,812,9137811,-;audit: type=1326 audit(1795310900.864:9): auid=4294967295 uid=1000 gid=1000 ses=4294967295 "
    'subj=unconfined pid=131 comm="python3" exe="/usr/bin/python3.11" sig=31 arch=c000003e syscall=321 compat=0 '
    "ip=0x7f code=0x80000000"
)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(0), Ending("EXITED")),
        (Facts(7 << 8), Ending("EXITED", exit_code=7)),
        (Facts(159 << 8), Ending("EXITED", exit_code=159)),
        (Facts(15), Ending("SIGNALED", signal=15)),
        (Facts(31), Ending("SIGNALED", signal=31)),
        (Facts(31, seccomp=(KILL,)), Ending("SECCOMP", signal=31, syscall=321)),
        (Facts(0, seccomp=(KILL,)), Ending("SECCOMP", signal=31, syscall=321)),
        (Facts(2 << 8, seccomp=(KILL,)), Ending("SECCOMP", exit_code=2, signal=31, syscall=321)),
        (Facts(9, oom_kills=1), Ending("OOM", signal=9)),
        (Facts(None, oom_kills=2), Ending("OOM", signal=9)),
        (Facts(None), Ending("SIGNALED", signal=9)),
        (Facts(1 << 8, disk_over=True), Ending("DISK", signal=9)),
        (Facts(None, stopped_for="WALLCLOCK"), Ending("WALLCLOCK", signal=9)),
        (Facts(9, stopped_for="REQUESTED", oom_kills=1), Ending("REQUESTED", signal=9)),
    ],
)
def test_the_cause_follows_from_the_facts(facts: Facts, expected: Ending) -> None:
    """Whole endings for every kind of fact; what the task says about itself never makes it SECCOMP or OOM."""
    assert judge(facts) == expected


@given(st.integers(0, 255), st.integers(0, 64))
def test_no_exit_code_or_own_signal_looks_like_a_kill(code: int, signal: int) -> None:
    """Whatever status a task ends with on its own, the cause is EXITED or SIGNALED."""
    assert judge(Facts(code << 8)).cause == "EXITED"
    if signal:
        assert judge(Facts(signal)).cause == "SIGNALED"


def test_the_audit_record_is_read() -> None:
    """The kernel's record of a kill gives process, call and architecture."""
    assert parse_audit(LINE) == SeccompKill(pid=131, syscall=321, arch=0xC000003E)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sig=31", "sig=0"),
        ("type=1326", "type=1701"),
        ("audit: type", "type"),
        ('comm="python3"', 'comm="a" exe="b" sig=31'),
        ("pid=131", "pid=x"),
    ],
)
def test_another_record_is_not_taken_for_a_kill(before: str, after: str) -> None:
    """One changed field and the line is no kill."""
    assert before in LINE
    assert parse_audit(LINE.replace(before, after)) is None


@given(st.text())
def test_any_line_is_survived(line: str) -> None:
    """No kernel line whatsoever raises."""
    parse_audit(line)
