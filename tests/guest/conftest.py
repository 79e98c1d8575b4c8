"""Booted VMs, shared by the tests that do not need one of their own."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location("cordon_guest_vm", Path(__file__).with_name("vm.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
vm = importlib.util.module_from_spec(_SPEC)
sys.modules["cordon_guest_vm"] = vm
_SPEC.loader.exec_module(vm)


@contextmanager
def _booted(*weaken: str, devices: tuple[str, ...] = ()) -> Iterator[Any]:
    # Not pytest's folder: it is 0700 and its path too long for a socket.
    with tempfile.TemporaryDirectory(prefix="cordon-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with vm.booted(folder, devices=devices) as machine:
            if weaken != ("unconfigured",):
                machine.configured = machine.configure(*weaken)
                assert list(machine.configured.weaken) == sorted(weaken)
            yield machine


@pytest.fixture(scope="session")
def guest() -> Iterator[Any]:
    """A VM with every control in force; use `guest.sandbox(...)` for a fresh sandbox."""
    with _booted() as machine:
        yield machine


@pytest.fixture
def weakened(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A VM without the controls named by the test's parameter."""
    with _booted(*request.param) as machine:
        yield machine


@pytest.fixture
def fresh() -> Iterator[Any]:
    """A VM that was not configured yet."""
    with _booted("unconfigured") as machine:
        yield machine


@pytest.fixture
def carded() -> Iterator[Any]:
    """A VM with a network card on the emulator's own closed network 10.0.2.0/24."""
    card = "virtio-net-pci,netdev=n,mac=52:54:0a:00:02:0f"
    with _booted(devices=("-netdev", "user,id=n,restrict=on", "-device", card)) as machine:
        yield machine
