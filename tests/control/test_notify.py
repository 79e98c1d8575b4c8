"""What systemd is told, and that telling it never holds the service up."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from executor.control.notify import notify, watchdog_s


def test_message_arrives_as_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket named in the environment gets exactly the text."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "n"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        assert notify("READY=1\nSTATUS=x")
        assert systemd.recv(100) == b"READY=1\nSTATUS=x"


def test_abstract_socket_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that begins with @ is an abstract socket."""
    name = f"cordon-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert notify("WATCHDOG=1")
        assert systemd.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("value", ["", "relative", "/no/such/socket"])
def test_nobody_to_tell_is_no_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd, or with one that is gone, nothing is raised."""
    monkeypatch.setenv("NOTIFY_SOCKET", value)
    assert not notify("READY=1")


def test_reader_that_does_not_read_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue costs half a second once, not the service its end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "n"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        begun = time.monotonic()
        while notify("WATCHDOG=1"):
            assert time.monotonic() - begun < 20
        assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("3000000", "", 3.0), ("3000000", "self", 3.0), ("3000000", "1", 0.0), ("", "", 0.0), ("soon", "", 0.0)],
)
def test_watchdog_interval_is_read(usec: str, pid: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Microseconds for this process; nothing for another one, nothing understood from nonsense."""
    monkeypatch.setenv("WATCHDOG_USEC", usec) if usec else monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "self" else pid)
    else:
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert watchdog_s() == seconds
