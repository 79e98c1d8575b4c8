"""The client against its own user: whatever is done with its futures, everybody else's go on."""

from __future__ import annotations

import pytest

from executor.bridge.wire import MAX_PAYLOAD
from executor.errors import InvalidInputError
from executor.intent import FileIn
from tests.bridge.stand import Stand, intent


def test_cancelled_futures_harm_nobody_else(stand: Stand) -> None:
    """Cancelled before it is accepted, while it runs and while it waits: the task ends, and so do all the others."""
    with stand.client() as client:
        hello = client.hello()
        hello.cancel()
        first = client.submit(intent("first", "wait", "go"))
        first.accepted.cancel()
        stand.executor.wait_started(1)
        first.answer.cancel()
        first.outcome.cancel()
        second = client.submit(intent("second"))
        second.accepted.result(10)
        second.outcome.cancel()
        third = client.submit(intent("third", "echo", "on"))
        stand.executor.gate("go").set()
        assert third.outcome.result(10).effect == "completed"
        assert list(first.output()) == []
        assert client.hello().result(10).requester == "cbo"
    assert stand.executor.started == ["first", "second", "third"]


def test_more_than_one_message_may_hold_is_refused_at_once(stand: Stand) -> None:
    """The executor would hang up on it without a word: the client says so before anything is sent."""
    half = b"x" * (MAX_PAYLOAD // 2)
    with stand.client() as client:
        files = tuple(FileIn(f"/workspace/{number}", half, 0o644) for number in range(2))
        assert client.submit(intent("fits", files=files)).outcome.result(30).effect == "completed"
        too_many = (*files, FileIn("/workspace/last", b"x", 0o644))
        with pytest.raises(InvalidInputError, match=f"at most {MAX_PAYLOAD} bytes"):
            client.submit(intent("too-much", files=too_many))
