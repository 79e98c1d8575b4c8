"""Nothing of a network outlives its owner, however that ends; the rights of the service suffice to make one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from executor.clock import SystemClock
from executor.network import Network
from fixtures.test_hosts import World
from tests.network.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
OWNER = """
import sys
from pathlib import Path
from executor.clock import SystemClock
from executor.network import Network, NetworkConfig
from tests.network.machine import Machine
network = Network(NetworkConfig(Path(sys.argv[1])), SystemClock())
machine = Machine(network)
print(network.switch.command("ip", "-br", "link").count("cordontap"), flush=True)
sys.stdin.read()
"""
UNIT = (ROOT / "deploy/cordon.service").read_text(encoding="utf-8")


def wires(world: World) -> list[str]:
    """The links of executors at the world's side."""
    lines = world.namespace.command("ip", "-br", "link").splitlines()
    return [line.split()[0] for line in lines if line.startswith("cordon")]


def gone(world: World) -> bool:
    """Whether the kernel has taken every link away; it does so in the background."""
    deadline = time.monotonic() + 20
    while wires(world) and time.monotonic() < deadline:
        os.sched_yield()
    return not wires(world)


def here() -> set[str]:
    """What the host's own namespace shows: devices, rules, named namespaces."""
    looks = (["ip", "-br", "link"], ["ip", "-br", "addr"], ["ip", "netns"], ["nft", "list", "ruleset"])
    return {
        line
        for argv in looks
        for line in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    }


def test_after_kill_9_nothing_is_left(world: World) -> None:
    """The owner is killed with a machine admitted: its bridges, links and filter go with it, without a next start."""
    argv = [sys.executable, "-c", OWNER, world.namespace.path]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "1\n"
        assert len(wires(world)) == 1
        owner.kill()
    assert gone(world)


def test_close_leaves_nothing_and_a_second_close_is_silent(world: World) -> None:
    """Also with a machine that was never released."""
    network = Network(world.config(), SystemClock())
    machine = Machine(network)
    assert len(wires(world)) == 1
    network.close()
    network.close()
    os.close(machine.tap)
    assert gone(world)


def test_the_hosts_own_namespace_never_shows_anything(world: World) -> None:
    """Neither devices nor addresses nor rules nor names, while machines come and go."""
    before = here()
    network = Network(world.config(), SystemClock())
    machine = Machine(network)
    assert here() == before
    machine.close()
    network.close()
    assert here() == before


def test_the_services_rights_suffice(world: World) -> None:
    """With the unit's bounding set and its read-only /proc/sys the network is made all the same."""
    if os.geteuid() != 0:
        pytest.fail("needs root")
    line = next(line for line in UNIT.splitlines() if line.startswith("CapabilityBoundingSet="))
    names = [name.removeprefix("CAP_").lower() for name in line.partition("=")[2].split()]
    bound = ",".join(["-all", *(f"+{name}" for name in names)])
    script = (
        "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"
        f' && exec setpriv --bounding-set={bound} --inh-caps=-all --no-new-privs "$@"'
    )
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", OWNER, world.namespace.path]
    done = subprocess.run(argv, cwd=ROOT, input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert gone(world)
