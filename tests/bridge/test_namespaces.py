"""The hybrid deployment: the core in one network namespace, the executor in another, one cable between them.

The namespaces, the cable and its addresses are made here and exist nowhere else; they go also when the test fails.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE, HOST = "198.51.100.1", "198.51.100.2"
"""TEST-NET-2 (RFC 5737). Only ever spoken to from inside the namespaces, which lead nowhere else."""


@dataclass
class Cabled:
    """Two namespaces with a cable between them."""

    core: str
    host: str

    def run(self, namespace: str, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[bytes]:
        """Run a program inside one of them."""
        return subprocess.run(
            ["ip", "netns", "exec", namespace, *argv], cwd=ROOT, capture_output=True, timeout=timeout, check=False
        )


def ip(*words: str) -> None:
    """One `ip` command that has to work."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def cabled() -> Iterator[Cabled]:
    """Two fresh namespaces; only a cable leads from one to the other, and nothing out of them."""
    if os.geteuid() != 0:
        pytest.fail("network namespaces need root")
    tag = secrets.token_hex(3)
    made = Cabled(f"cordon-core-{tag}", f"cordon-host-{tag}")
    with ExitStack() as undo:
        for name in (made.core, made.host):
            ip("netns", "add", name)
            undo.callback(subprocess.run, ["ip", "netns", "del", name], check=False, capture_output=True)
        # Both ends are born inside: the machine's own namespace never has them.
        ip("-n", made.core, "link", "add", f"c{tag}", "type", "veth", "peer", "name", f"h{tag}", "netns", made.host)
        for namespace, device, address in ((made.core, f"c{tag}", CORE), (made.host, f"h{tag}", HOST)):
            ip("-n", namespace, "addr", "add", f"{address}/30", "dev", device)
            ip("-n", namespace, "link", "set", device, "up")
            ip("-n", namespace, "link", "set", "lo", "up")
        yield made


def test_core_submits_over_the_cable_and_reaches_nothing_else(cabled: Cabled, tmp_path: Path) -> None:
    """A submission from the core's namespace runs on the host's side; the control socket stays out of its reach."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with subprocess.Popen(
        ["ip", "netns", "exec", cabled.host, sys.executable, "-m", "tests.bridge.far_side", str(state), HOST],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as executor:
        assert executor.stdout is not None
        said = executor.stdout.readline().decode().split()
        assert len(said) == 2, executor.communicate()
        bridge, control = said
        assert bridge.startswith(f"tcp://{HOST}:")
        curve = state / "keys" / "curve"
        keys = ("--server-key", str(curve / "bridge.pub"), "--key", str(curve / "cbo.key"))
        submit = (sys.executable, "-m", "cordon", "submit", "--connect", bridge, *keys)
        done = cabled.run(cabled.core, *submit, "--json", "--", "echo", "over", "the", "cable")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["results"][0]["stdout"] == "over the cable\n"
        streamed = cabled.run(cabled.core, *submit, "--", "echo", "streamed")
        assert (streamed.returncode, streamed.stdout) == (0, b"streamed\n"), streamed.stderr

        # The control socket is on the host side's loopback: from the core nobody is there.
        assert cabled.run(cabled.core, *_knock(control)).stdout.split() == [b"closed"]
        assert cabled.run(cabled.core, *_knock(bridge)).stdout.split() == [b"open"]
        assert cabled.run(cabled.host, *_knock(control)).stdout.split() == [b"open"]
        executor.communicate(b"", timeout=60)
        assert executor.returncode == 0


def test_cable_is_nowhere_but_in_the_namespaces(cabled: Cabled) -> None:
    """The machine's own namespace has neither end of the cable, and the two have no way out."""
    names = {cabled.core, cabled.host}
    assert names <= set(subprocess.run(["ip", "netns"], capture_output=True, check=True).stdout.decode().split())
    here = subprocess.run(["ip", "-o", "addr"], capture_output=True, check=True).stdout.decode()
    assert f"inet {CORE}/" not in here
    assert f"inet {HOST}/" not in here
    for name in names:
        routes = cabled.run(name, "ip", "route").stdout.decode()
        assert "default" not in routes
        assert routes.count("\n") == 1


def _knock(endpoint: str) -> list[str]:
    """A program that says whether somebody listens at `endpoint`."""
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    program = (
        "import socket\n"
        "with socket.socket() as s:\n"
        f"    s.settimeout(1)\n    print('closed' if s.connect_ex(({host!r}, {port})) else 'open')"
    )
    return [sys.executable, "-c", program]
