"""Networks and worlds for tests that need root's bridges and packet filters, but no machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from executor.clock import SystemClock
from executor.network import Network
from fixtures.test_hosts import World
from tests.network.machine import Machine


@pytest.fixture
def world() -> Iterator[World]:
    """Hosts to reach, in a namespace of this test's own."""
    if os.geteuid() != 0:
        pytest.fail("network namespaces need root")
    made = World()
    yield made
    made.close()


@pytest.fixture
def network(world: World) -> Iterator[Network]:
    """A furnished network with `world` beyond its uplink."""
    made = Network(world.config(), SystemClock())
    world.furnish(made)
    yield made
    made.close()


@pytest.fixture
def machine(network: Network) -> Iterator[Machine]:
    """A machine whose card is on the black hole."""
    made = Machine(network)
    yield made
    made.close()
