"""The whole service on a real VM: `cordon serve` as a process, with systemd's side of the conversation played here.

One service is started, killed, started again, stopped and resumed: a start takes seconds on real machines.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from executor.bridge.curve import CurvePair, make_pair
from executor.clock import SystemClock
from executor.control.client import ControlClient
from executor.domain.rundir import processes_of
from executor.keys import KeyStore
from executor.svf import read
from executor.svf.machine import check_trace, match_trail
from tests.bridge.stand import eventually

pytestmark = pytest.mark.vm
ROOT = Path(__file__).resolve().parents[2]
START_S = 180
"""Seconds for a start that has to boot a golden machine on a crowded host."""


class Served:
    """A `cordon serve` process and systemd's socket."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.runtime = Path(os.environ.get("CORDON_RUNTIME", "/var/lib/cordon/run")).with_name(
            f"q{os.getpid() % 10000}"
        )
        self.state.mkdir(mode=0o700)
        self.ports = [free_port() for _ in range(3)]
        pairs: dict[str, CurvePair] = {
            name: make_pair(self.state, name) for name in ("bridge", "control", "client", "operator")
        }
        self.operator_pair, self.control_key = pairs["operator"], pairs["control"].public
        curve = self.state / "keys" / "curve"
        self.config = folder / "cordon.toml"
        self.config.write_text(
            f'schema = "cordon.config/1"\n[executor]\nstate = "{self.state}"\npolicies = "{ROOT / "policies"}"\n'
            f"drill = true\nworkers = 2\ndrain_s = 20\n"
            f'[bridge]\nlisten = "tcp://127.0.0.1:{self.ports[0]}"\nsecret_key_file = "{curve / "bridge.key"}"\n'
            f'[control]\nlisten = "tcp://127.0.0.1:{self.ports[1]}"\nsecret_key_file = "{curve / "control.key"}"\n'
            f'[metrics]\nlisten = "127.0.0.1:{self.ports[2]}"\n'
            f'[[client]]\nname = "cbo"\nkey = "{pairs["client"].public.decode()}"\ntop_priority = "CRITICAL"\n'
            f'[[operator]]\nname = "ops"\nkey = "{pairs["operator"].public.decode()}"\n'
        )
        self.environment = {
            **os.environ,
            "CORDON_STATE": str(self.state),
            "CORDON_RUNTIME": str(self.runtime),
            "PYTHONPATH": str(ROOT),
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": "3000000",
        }
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.errors = folder / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        while select.select([self.notify], [], [], 0)[0]:
            self.notify.recv(4096)  # of the one before
        with self.errors.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cordon", "serve", "--config", str(self.config)],
                env=self.environment,
                stderr=stream,
                cwd=ROOT,
            )
        self.wait_notified("READY=1", START_S)

    def wait_notified(self, what: str, seconds: float) -> str:
        """The first message to systemd that holds `what`."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.process is not None and self.process.poll() is None:
            if select.select([self.notify], [], [], min(left, 0.5))[0]:
                message = self.notify.recv(4096).decode()
                if what in message:
                    return message
        raise AssertionError(f"no {what}; the log ends with {self.errors.read_text()[-3000:]}")

    def cordon(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        """Run another `cordon` command against it."""
        environment = {
            **self.environment,
            "CORDON_BRIDGE": f"tcp://127.0.0.1:{self.ports[0]}",
            "CORDON_CONTROL": f"tcp://127.0.0.1:{self.ports[1]}",
        }
        return subprocess.run(
            [sys.executable, "-m", "cordon", *arguments],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            timeout=120,
            check=False,
            **more,
        )

    def background(self, *arguments: str) -> subprocess.Popen[bytes]:
        """As `cordon`, not waited for."""
        environment = {**self.environment, "CORDON_BRIDGE": f"tcp://127.0.0.1:{self.ports[0]}"}
        return subprocess.Popen(
            [sys.executable, "-m", "cordon", *arguments],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def operator(self) -> ControlClient:
        """A connection to its control socket."""
        return ControlClient(f"tcp://127.0.0.1:{self.ports[1]}", server_key=self.control_key, pair=self.operator_pair)

    def events(self) -> list[Any]:
        """The audit trail."""
        return list(read(self.state / "logs" / "svf_audit"))

    def log(self) -> list[Mapping[str, Any]]:
        """The service's log so far."""
        return [json.loads(line) for line in self.errors.read_text().splitlines() if line.startswith("{")]

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the process."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not collected by its new parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except FileNotFoundError:
        return False


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A running service; nothing of it stays."""
    if os.geteuid() != 0:
        pytest.fail("the service needs root: libvirt gives QEMU another user")
    made = Served(tmp_path)
    try:
        made.start()
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        made.notify.close()
        from executor.domain.rundir import reap_dead  # noqa: PLC0415 - only for what a kill leaves

        if made.runtime.is_dir():
            reap_dead(made.runtime)
            subprocess.run(["rm", "-rf", str(made.runtime)], check=True)


def _submits(served: Served) -> None:
    """A command's output and exit status come back; a file goes in; a refusal is 125."""
    done = served.cordon("submit", "--", "echo", "Hello, Staging")
    assert (done.returncode, done.stdout) == (0, b"Hello, Staging\n"), done.stderr
    done = served.cordon("submit", "--priority", "CRITICAL", "--", "false")
    assert (done.returncode, done.stdout) == (1, b""), done.stderr
    done = served.cordon(
        "submit", "--json", "--file", "LICENSE:/workspace/in", "--", "head", "-c", "20", "/workspace/in"
    )
    answer = json.loads(done.stdout)
    assert (answer["effect"], answer["results"][0]["stdout"]) == ("completed", Path("LICENSE").read_text()[:20])
    done = served.cordon("submit", "--cap", "dev:gpu", "--", "true")
    assert done.returncode == 125
    assert b"denied" in done.stderr


def _tells(served: Served) -> None:
    """The watchdog hears of it, metrics and top tell it."""
    served.wait_notified("WATCHDOG=1", 10)
    figures = urllib.request.urlopen(f"http://127.0.0.1:{served.ports[2]}/metrics", timeout=10).read().decode()
    assert 'cordon_tasks_total{effect="completed",priority="NORMAL"} 2.0' in figures
    assert "cordon_executor_machines_alive" in figures
    top = json.loads(served.cordon("top", "--json").stdout)
    assert (top["queue"]["accepted"], top["queue"]["mode"]) == (4, "open")


def _killed(served: Served) -> None:
    """Killed with a task running: its VM outlives it until the next start, which closes everything."""
    running = served.background("submit", "--timeout", "60", "--", "sleep", "50")
    assert eventually(lambda: any(event.type == "exec_event.STARTED" for event in served.events()[-3:]), 60)
    served.end(signal.SIGKILL)
    orphans = processes_of(served.runtime)
    assert any(b"qemu" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in orphans)
    served.start()
    assert not [pid for pid in orphans if alive(pid)]
    closed = [event for event in served.events() if event.data.get("cause") == "executor.restarted"]
    assert [event.type for event in closed] == ["exec_event.ABORTED"]
    interrupted = [event for event in served.events() if event.intent_id == closed[0].intent_id]
    assert not match_trail(interrupted, "aborted")
    recovered = [line for line in served.log() if line["event"] == "recovered"][-1]
    assert (recovered["interrupted"], recovered["queued"]) == ([closed[0].intent_id], 0)
    assert running.wait(60) == 125  # told by the new executor that it does not know the task
    running.communicate()


def _stopped(served: Served) -> None:
    """SCRAM with a running VM: paused where it is; nothing goes on; a person resumes; the task ends well."""
    held = served.background("submit", "--timeout", "60", "--json", "--", "sleep", "3")
    if not eventually(lambda: any(event.type == "exec_event.STARTED" for event in served.events()[-3:]), 60):
        held.kill()
        raise AssertionError(held.communicate())
    stopped = json.loads(served.cordon("scram", "--why", "a drill", "--json").stdout)
    assert (len(stopped["paused"]), stopped["faults"]) == (1, [])
    assert stopped["took_us"] < 1_000_000
    assert served.cordon("resume", "--sign-as", "cp14").returncode == 1
    resumed = json.loads(served.cordon("resume", "--sign-as", "human", "--json").stdout)
    assert resumed["running"] == stopped["paused"]
    outcome = json.loads(held.communicate(timeout=90)[0])
    assert (held.returncode, outcome["effect"], [outcome["vm_id"]]) == (0, "completed", stopped["paused"])


def _told(served: Served, event: str, times: int) -> bool:
    return [line["event"] for line in served.log()].count(event) >= times


def _reloaded(served: Served) -> None:
    """SIGHUP: a bad file changes nothing and says so; a key taken off the list is refused; put back, it is let in."""
    assert served.process is not None
    good = served.config.read_text()
    before, _, rest = good.partition("[[client]]")
    for text, word, taken in (
        (f"{good}surprise = 1\n", "reload refused, the old configuration stays", True),
        (f"{before}[[operator]]{rest.partition('[[operator]]')[2]}", "reloaded", False),
        (good, "reloaded", True),
    ):
        told = [line["event"] for line in served.log()].count(word)
        served.config.write_text(text)
        served.process.send_signal(signal.SIGHUP)
        assert eventually(partial(_told, served, word, told + 1), 20)
        assert (served.cordon("submit", "--", "true").returncode == 0) == taken
    refused = next(line for line in served.log() if line["event"].startswith("reload refused"))
    assert "surprise: unknown field" in refused["error"]


def _ended(served: Served) -> None:
    """SIGTERM: drained, closed, nothing left, every trail ended."""
    assert served.end(signal.SIGTERM) == 0
    assert processes_of(served.runtime) == []
    assert [line["event"] for line in served.log()][-2:] == ["drained", "ended"]
    assert check_trace(served.events(), whole=True, complete=True) == []
    secrets = [path.read_text().strip() for path in (served.state / "keys").rglob("*.key")]
    told = served.errors.read_text()
    assert not [secret for secret in secrets if secret in told]
    assert "Hello, Staging" not in told
    with contextlib.suppress(FileNotFoundError):
        assert list(served.runtime.glob("r-*")) == []
    assert KeyStore(served.state, SystemClock()).ring().trust.current


def test_service_from_start_over_kill_and_scram_to_sigterm(served: Served) -> None:
    """Submit, stream, exit status; kill -9 with a task running: orphans gone, trail closed; SCRAM, SIGHUP, SIGTERM."""
    _submits(served)
    _tells(served)
    _killed(served)
    _stopped(served)
    _reloaded(served)
    _ended(served)
