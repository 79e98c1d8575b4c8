"""What a guest says is bounded beyond its form: numbers, enumerations, texts and codes."""

from __future__ import annotations

import pytest

from executor.channel import channel_pb2 as pb
from executor.channel.bounds import MAX_INT, MAX_TEXT, fault

GOOD = [
    pb.FromGuest(ready=pb.Ready(protocol=1, kernel="6.1", boot_ns=MAX_INT, weaken=["a", "b"])),
    pb.FromGuest(output=pb.Output(task_id="t", stream=1, data=b"x" * (MAX_TEXT + 1))),
    pb.FromGuest(finished=pb.Finished(cause=pb.Finished.PIDS, exit_code=-1, usage=pb.Sample(cpu_usec=MAX_INT))),
    pb.FromGuest(denied=pb.Denied(code="guest.path_outside", message="x" * MAX_TEXT)),
    pb.FromGuest(fault=pb.Fault(code="guest.bug")),
]
BAD = {
    "a number no JSON keeps": pb.FromGuest(sample=pb.Sample(at_ns=MAX_INT + 1)),
    "one further inside": pb.FromGuest(finished=pb.Finished(usage=pb.Sample(cpu_usec=2**64 - 1))),
    "an unknown cause": pb.FromGuest(finished=pb.Finished(cause=99)),  # type: ignore[arg-type] # proto3 takes any
    "a long name": pb.FromGuest(ready=pb.Ready(kernel="x" * (MAX_TEXT + 1))),
    "a long entry of a list": pb.FromGuest(ready=pb.Ready(weaken=["x" * (MAX_TEXT + 1)])),
    "a code of nobody's": pb.FromGuest(denied=pb.Denied(code="lease.expired")),
    "a code with more behind it": pb.FromGuest(denied=pb.Denied(code="guest.bug\nx")),
    "no code": pb.FromGuest(fault=pb.Fault(message="x")),
}


@pytest.mark.parametrize("message", GOOD)
def test_what_an_honest_agent_says_passes(message: pb.FromGuest) -> None:
    """Output may be long, numbers large, texts as long as a path."""
    assert fault(message) is None


@pytest.mark.parametrize("case", BAD)
def test_what_the_record_cannot_carry_is_a_fault(case: str) -> None:
    """Each would otherwise end as an exception far behind the channel."""
    assert fault(BAD[case]) is not None
