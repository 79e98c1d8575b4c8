"""Why a machine was lost: every sign and every order of signs leads to one cause, and to none before it is certain."""

from __future__ import annotations

import errno
import threading
from itertools import permutations
from typing import get_args

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor import fate
from executor.domain.signs import Signs
from executor.errors import OutOfDiskError, OutOfMemoryError, OutsideError, outside
from executor.fate import WORDS, Fate, Sign, fate_of

SIGNS: tuple[Sign, ...] = get_args(Sign)


@pytest.mark.parametrize(
    ("signs", "memory_kills", "last_words", "cause"),
    [
        ((), 0, b"", None),
        (("guest-reset",), 0, b"", fate.PANICKED),
        (("guest-shutdown", "ended"), 0, b"", fate.AGENT_CRASHED),
        (("destroyed", "ended"), 0, b"", fate.DESTROYED),
        (("ended",), 0, b"", fate.QEMU_KILLED),
        (("ended",), 1, b"", fate.OUT_OF_MEMORY),
        (("ended",), 0, b"qemu-system-x86_64: GLib: failed to allocate 4096 bytes", fate.OUT_OF_MEMORY),
        ((), 0, b"failed to allocate", None),
        (("no space",), 0, b"", fate.OUT_OF_DISK),
        (("no space", "ended"), 1, b"", fate.OUT_OF_DISK),
    ],
)
def test_cause_of(signs: tuple[Sign, ...], memory_kills: int, last_words: bytes, cause: str | None) -> None:
    """Each way to lose a machine has a cause of its own; last words count once QEMU is gone."""
    found = fate_of(signs, memory_kills=memory_kills, last_words=last_words)
    assert found == (Fate(cause) if cause else None)


@given(st.lists(st.sampled_from(SIGNS), unique=True), st.integers(0, 2))
def test_order_of_signs_does_not_matter(signs: list[Sign], memory_kills: int) -> None:
    """Events of two sources come in any order; and every cause has words."""
    found = {fate_of(order, memory_kills=memory_kills, last_words=b"") for order in permutations(signs)}
    assert len(found) == 1
    assert all(one is None or one.words == WORDS[one.code] for one in found)


def test_signs_are_kept_of_watched_machines_only() -> None:
    """What is said of a machine that nobody watches (any more) takes no memory."""
    signs = Signs()
    signs.note("vm-1", "ended")
    signs.watch("vm-1")
    assert signs.of("vm-1") == ()
    signs.note("vm-1", "ended")
    signs.note("vm-1", "ended")
    assert signs.of("vm-1") == ("ended",)
    signs.forget("vm-1")
    signs.note("vm-1", "ended")
    assert signs.of("vm-1") == ()


def test_wait_ends_with_the_sign() -> None:
    """Whoever waits is woken by the sign, and by nobody's watching any more."""
    signs = Signs()
    signs.watch("vm-1")
    teller = threading.Timer(0.05, lambda: signs.note("vm-1", "guest-reset"))
    teller.start()
    assert signs.wait("vm-1", lambda said: said or None, 30) == ("guest-reset",)
    teller.join()
    signs.forget("vm-1")
    assert signs.wait("vm-1", lambda said: said or None, 30) is None


class Domain:
    """What libvirt's callbacks are given, as far as they look."""

    def name(self) -> str:
        return "vm-1"


@pytest.mark.parametrize(
    ("event", "details", "signs"),
    [
        ("SHUTDOWN", '{"guest":true,"reason":"guest-reset"}', ("guest-reset",)),
        ("SHUTDOWN", '{"guest":true,"reason":"guest-shutdown"}', ("guest-shutdown",)),
        ("SHUTDOWN", '{"guest":false,"reason":"host-signal"}', ()),
        ("BLOCK_IO_ERROR", '{"action":"stop","nospace":true,"operation":"write"}', ("no space",)),
        ("BLOCK_IO_ERROR", '{"action":"report","nospace":false,"operation":"read"}', ()),
        ("BLOCK_IO_ERROR", None, ()),
        ("SHUTDOWN", "no JSON", ()),
        ("SHUTDOWN", "[]", ()),
    ],
)
def test_monitor_events_become_signs(event: str, details: str | None, signs: tuple[Sign, ...]) -> None:
    """As QEMU words them; what is none of them says nothing, and nothing raises into libvirt's loop."""
    kept = Signs()
    kept.watch("vm-1")
    kept._on_monitor(None, Domain(), event, 0, 0, details, None)
    assert kept.of("vm-1") == signs


@pytest.mark.parametrize(
    ("event", "detail", "signs"),
    [
        (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED, ("ended",)),
        (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED, ("destroyed", "ended")),
        (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_PAUSED, ()),
    ],
)
def test_lifecycle_events_become_signs(event: int, detail: int, signs: tuple[Sign, ...]) -> None:
    """Only the end counts; who destroyed is said before that it ended, so that nobody judges in between."""
    kept = Signs()
    kept.watch("vm-1")
    kept._on_lifecycle(None, Domain(), event, detail, None)
    assert kept.of("vm-1") == signs


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, OutOfDiskError),
        (errno.EDQUOT, OutOfDiskError),
        (errno.ENOMEM, OutOfMemoryError),
        (errno.EIO, OutsideError),
    ],
)
def test_full_disk_and_memory_are_told_apart(number: int, kind: type[OutsideError]) -> None:
    """An error of the system's keeps what it was about."""
    found = outside("cannot write /x", OSError(number, "words"))
    assert type(found) is kind
    assert str(found).startswith("cannot write /x: words")
