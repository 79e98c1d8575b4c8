"""What a process imports: a simulated run pays for nothing that only other engines, servers or failures need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SPARED: Final = ("aiohttp", "hypothesis", "jsonschema", "libvirt", "rich", "simpy", "structlog", "zmq")
"""Packages; each takes 0.05 to 0.35 s of processor time to import, in every process."""


def _imported(program: str) -> set[str]:
    """The packages there are in a fresh interpreter after `program`."""
    said = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sorted(sys.modules))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return {name.partition(".")[0] for name in said.stdout.split()}


@pytest.mark.parametrize(
    "program",
    [
        "import harness.plugin",
        "import executor.service",
        "import harness.procedures.registry as registry; registry.names()",
    ],
)
def test_what_a_simulated_run_needs_imports_nothing_that_it_does_not(program: str) -> None:
    """Plugin, executor and procedures leave what is slow to import to those that use it."""
    assert _imported(program).isdisjoint(SPARED)


def test_the_opa_client_is_the_whole_package_to_whoever_imports_it_later() -> None:
    """Taking one module out of opa-python-client leaves no half package behind."""
    program = (
        "from executor.policy.client import UnixOpaClient\n"
        "import opa_client\n"
        "assert issubclass(UnixOpaClient, opa_client.OpaClient)\n"
        "assert opa_client.AsyncOpaClient\n"
    )
    assert "aiohttp" in _imported(program)
    assert "aiohttp" not in _imported(program.partition("import opa_client")[0])
