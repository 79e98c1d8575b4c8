"""What the service tells of itself: figures that add up, a log without anything a task said."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
import urllib.request
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import OutsideError
from executor.metrics.figures import MAX_REASONS, READERS, Endpoint, Figures, flat
from executor.metrics.log import FIELDS, make_log
from executor.outcome import EffectClass, Outcome, Stage
from tests.bridge.stand import Stand, eventually, intent


def outcome(effect: EffectClass, *reasons: str) -> Outcome:
    """An outcome with one stage."""
    stages = (Stage("decide", 3_000_000), Stage("command.7", 40_000_000, "guest"))
    return Outcome("i", "sim", "allow", reasons, effect, {}, None, stages=stages)


def value(figures: Figures, name: str, **labels: str) -> float | None:
    """One sample."""
    return figures.registry.get_sample_value(name, labels)


def test_tasks_denials_and_breaches_are_counted() -> None:
    """Every outcome counts once, its reasons as what they are, its stages by name."""
    figures = Figures()
    figures.ended("HIGH", outcome("completed"), 2_000_000_000)
    figures.ended("LOW", outcome("denied", "matrix.forbidden", "net.egress"), 1)
    figures.ended("LOW", outcome("refused", "lease.expired"), 1)
    figures.ended("LOW", outcome("breached", "quota.memory"), 1)
    figures.ended("LOW", outcome("aborted", "guest.panicked"), 1)
    figures.waited("LOW", 500_000_000)
    figures.broke("svf.unwritable")
    assert value(figures, "cordon_tasks_total", effect="completed", priority="HIGH") == 1
    assert value(figures, "cordon_tasks_total", effect="denied", priority="LOW") == 1
    assert value(figures, "cordon_denials_total", reason="net.egress") == 1
    assert value(figures, "cordon_denials_total", reason="lease.expired") == 1
    assert value(figures, "cordon_denials_total", reason="quota.memory") is None
    assert value(figures, "cordon_breaches_total", quota="memory") == 1
    assert value(figures, "cordon_aborts_total", cause="guest.panicked") == 1
    assert value(figures, "cordon_denials_total", reason="guest.panicked") is None
    assert value(figures, "cordon_broken_tasks_total", code="svf.unwritable") == 1
    assert value(figures, "cordon_task_seconds_sum") == pytest.approx(2.0, abs=1e-6)
    assert value(figures, "cordon_queue_wait_seconds_sum", priority="LOW") == 0.5
    assert value(figures, "cordon_stage_seconds_count", stage="decide", side="host") == 5
    assert value(figures, "cordon_stage_seconds_count", stage="command", side="guest") == 5


def test_reasons_cannot_fill_the_memory() -> None:
    """Beyond its bound every new reason is `other`; known ones go on being counted apart."""
    figures = Figures()
    for number in range(MAX_REASONS + 50):
        figures.ended("LOW", outcome("denied", f"made.up_{number}"), 1)
    figures.ended("LOW", outcome("denied", "made.up_0"), 1)
    assert value(figures, "cordon_denials_total", reason="other") == 50
    assert value(figures, "cordon_denials_total", reason="made.up_0") == 2


def test_endpoint_tells_the_parts_numbers_at_every_scrape(stand: Stand) -> None:
    """Queue, workers and machines are read when asked for, on loopback."""
    assert stand.service.metrics is not None
    url = f"http://127.0.0.1:{stand.service.metrics.port}/metrics"
    with stand.client() as client:
        held = client.submit(intent("held", "wait", "go"))
        stand.executor.wait_started(1)
        waiting = client.submit(intent("waiting"))
        waiting.accepted.result(10)
        lines = urllib.request.urlopen(url, timeout=10).read().decode().splitlines()
        assert "cordon_queue_queued 1.0" in lines
        assert "cordon_queue_depths_normal 1.0" in lines
        assert "cordon_queue_running 1.0" in lines
        assert "cordon_safe_mode_on 0.0" in lines
        assert "cordon_workers_alive 1.0" in lines
        stand.executor.gate("go").set()
        for task in (held, waiting):
            task.outcome.result(10)
        lines = urllib.request.urlopen(url, timeout=10).read().decode().splitlines()
        assert "cordon_queue_queued 0.0" in lines
        assert 'cordon_tasks_total{effect="completed",priority="NORMAL"} 2.0' in lines


def test_taken_port_is_told() -> None:
    """A port that somebody has is something outside, with its number."""
    endpoint = Endpoint(Figures(), "127.0.0.1", 0)
    try:
        with pytest.raises(OutsideError, match=f"127.0.0.1:{endpoint.port}"):
            Endpoint(Figures(), "127.0.0.1", endpoint.port)
    finally:
        endpoint.close()
        endpoint.close()


def test_readers_who_say_nothing_take_no_more_than_their_share() -> None:
    """Fifty silent connections hold a few threads, the others are closed; once they let go, figures are told again."""
    endpoint = Endpoint(Figures(), "127.0.0.1", 0)
    before = threading.active_count()
    held = [socket.create_connection(("127.0.0.1", endpoint.port), timeout=20) for _ in range(50)]
    try:
        for connection in held[READERS:]:
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        assert threading.active_count() - before <= READERS
        held[0].sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert held[0].recv(16).startswith(b"HTTP/1.0 200")
    finally:
        for connection in held:
            connection.close()

    def told() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics", timeout=10) as answer:
                return b"cordon_" in answer.read()
        except OSError:  # not all of them have noticed yet
            return False

    assert eventually(told, 20)
    endpoint.close()


def test_only_numbers_are_told() -> None:
    """Texts and lists have no figure; nested names are joined."""
    assert dict(flat({"a": {"b-c": 1, "d": True}, "e": "text", "f": [1], "g.h": 2.5})) == {
        "a_b_c": 1.0,
        "a_d": 1.0,
        "g_h": 2.5,
    }


@given(st.dictionaries(st.text(min_size=1, max_size=12).filter(lambda name: name not in FIELDS), st.text(max_size=30)))
def test_unnamed_fields_never_reach_the_log(fields: dict[str, str]) -> None:
    """Whatever else is handed to the logger is dropped and only counted; every line is one JSON object."""
    stream = io.StringIO()
    fields = {name: f"SECRET{text}" for name, text in fields.items() if name.isidentifier()}
    fields.pop("self", None)
    make_log("json", "info", stream).info("ended", task="q-1\nforged", **fields)
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert found["task"] == "q-1\nforged"
    assert "SECRET" not in line
    assert found.keys() <= FIELDS | {"dropped_fields"}


def test_level_and_length_are_kept() -> None:
    """What is below the level is not written; long text is cut."""
    stream = io.StringIO()
    log = make_log("json", "warning", stream)
    log.info("begun", task="x")
    log.warning("broken", error="e" * 10_000)
    (line,) = stream.getvalue().splitlines()
    assert len(json.loads(line)["error"]) == 503


def test_service_logs_nothing_a_task_said_and_no_key(stand: Stand, tmp_path: Path) -> None:
    """A whole task's life in the log: its ids and its end; not its words, its output or anybody's key."""
    with stand.client() as client:
        client.submit(intent("i-1", "echo", "xyzzy-secret", env={"TOKEN": "xyzzy-env"})).outcome.result(10)
    text = stand.log.getvalue()
    assert [json.loads(line)["event"] for line in text.splitlines()] == ["recovered", "begun", "ended"]
    assert "xyzzy" not in text
    for path in (tmp_path / "keys").rglob("*.key"):
        assert path.read_text().strip() not in text
