"""The child OPA: what it is given, who may reach it, when it dies."""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from executor.clock import SystemClock
from executor.errors import PolicyUnavailableError
from executor.paths import runtime_dir
from executor.policy import OpaServer, load_bundle
from executor.policy.client import UnixOpaClient
from executor.policy.server import sweep

PARENT = """
import sys, threading
from pathlib import Path
from executor.policy import PolicyEngine
engine = PolicyEngine(Path(sys.argv[1]))
print(engine.opa_pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server(opa: Path, policies: Path) -> Iterator[OpaServer]:
    """A running one."""
    running = OpaServer(opa, load_bundle(policies), clock=SystemClock())
    running.start()
    yield running
    running.stop()


def dies(pid: int, *, within_s: float) -> bool:
    """True when process `pid` ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within_s)[0])
    finally:
        os.close(descriptor)


def test_nobody_else_reaches_the_socket(server: OpaServer) -> None:
    """Socket and folder are ours alone, by their modes."""
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
    assert server.socket.parent.stat().st_uid == os.geteuid()


def test_opa_is_given_nothing_of_ours(monkeypatch: pytest.MonkeyPatch, opa: Path, policies: Path) -> None:
    """OPA gets no variable of our environment, no file of ours, and cannot gain privileges."""
    monkeypatch.setenv("CORDON_SECRET", "sesame")
    server = OpaServer(opa, load_bundle(policies), clock=SystemClock())
    server.start()
    try:
        process = Path(f"/proc/{server.pid}")
        environment = dict(entry.split("=", 1) for entry in (process / "environ").read_text().split("\0") if entry)
        assert environment.keys() == {"HOME", "PATH", "GOMEMLIMIT", "GOGC"}
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        assert status["NoNewPrivs"] == "1"
        if os.geteuid() == 0:
            assert int(status["CapEff"], 16) == 0
    finally:
        server.stop()


def test_stop_leaves_nothing(server: OpaServer) -> None:
    """After `stop` neither process nor folder is there; a second `stop` is silent."""
    pid, folder = server.pid, server.socket.parent
    server.stop()
    server.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()
    assert not server.alive()
    with pytest.raises(PolicyUnavailableError):
        _ = server.socket


def test_opa_dies_with_a_killed_parent(policies: Path) -> None:
    """kill -9 of the process that started OPA ends OPA, and the next start sweeps what it left."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(policies)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        left = list(runtime_dir().glob(f"opa-{parent.pid}-*"))
        assert len(left) == 1
        assert sweep(runtime_dir()) == 0  # it lives
        parent.kill()
        parent.wait()
    assert dies(pid, within_s=10)
    assert sweep(runtime_dir()) == 1
    assert not left[0].exists()


def test_sweep_ends_an_orphan(opa: Path, policies: Path) -> None:
    """An OPA whose owner is gone, however it survived, is killed by the next start; another's process is not."""
    server = OpaServer(opa, load_bundle(policies), clock=SystemClock())
    server.start()
    folder, pid = server.socket.parent, server.pid
    os.close(server._owner)  # as if the owner had died, and the kernel had not told OPA
    server._owner = -1
    bystander = folder.parent / "opa-1-1"
    bystander.mkdir(mode=0o700)
    (bystander / "owner").touch()
    (bystander / "pid").write_text(str(os.getpid()))
    assert sweep(folder.parent) == 2
    assert dies(pid, within_s=10)
    assert not folder.exists()
    assert not bystander.exists()
    server.stop()


def test_opa_outlives_the_thread_that_asked_for_it(opa: Path, policies: Path) -> None:
    """The parent-death signal is of the process, not of the thread that happened to start OPA."""
    server = OpaServer(opa, load_bundle(policies), clock=SystemClock())
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert not dies(server.pid, within_s=0.5)
        assert server.healthy(timeout_s=10)
    finally:
        server.stop()


def test_a_hung_opa_is_alive_but_not_healthy(server: OpaServer) -> None:
    """Life and health are told apart, and a stopped process can be stopped for good."""
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)  # the signal is on its way until every thread has seen it
    assert server.alive()
    assert not server.healthy(timeout_s=0.2)
    server.kill()
    assert not Path(f"/proc/{pid}").exists()


def test_a_start_that_fails_quotes_opa(tmp_path: Path, opa: Path) -> None:
    """Policies that do not compile are an error in OPA's words, and nothing is left of the try."""
    (tmp_path / "bad.rego").write_text("package cordon\n\nallow if input.x == undefined_thing\n")
    server = OpaServer(opa, load_bundle(tmp_path), clock=SystemClock())
    with pytest.raises(PolicyUnavailableError, match="undefined_thing"):
        server.start()
    assert server.pid == 0
    assert not list(runtime_dir().glob(f"opa-{os.getpid()}-*"))


def test_no_program(tmp_path: Path, policies: Path) -> None:
    """An OPA that is not there is an error at the start, in setpriv's words."""
    server = OpaServer(tmp_path / "opa", load_bundle(policies), clock=SystemClock())
    with pytest.raises(PolicyUnavailableError, match="No such file"):
        server.start()


def test_what_is_loaded_can_be_read_back(server: OpaServer, policies: Path) -> None:
    """OPA tells the modules it has loaded, byte for byte, and the digest that they were stamped with."""
    bundle = load_bundle(policies)
    with UnixOpaClient(server.socket, timeout_s=10) as client:
        assert tuple(client.modules()) == bundle.modules
        assert client.document("cordon/stamp") == {"digest": bundle.digest}
        with pytest.raises(KeyError):
            client.document("cordon/nowhere")


def test_garbage_on_the_socket_does_not_matter(server: OpaServer) -> None:
    """A question that is no JSON is an error for who asked, and OPA goes on."""
    with UnixOpaClient(server.socket, timeout_s=10) as client:
        answer = client._session._exchange("POST", f"{client.root_url}/data/cordon/decision", b"{", 10)
        assert answer.status_code == requests.codes.bad_request
        assert client.check_health()
