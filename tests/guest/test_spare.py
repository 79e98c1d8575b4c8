"""Which lease a sandbox made ahead is right for."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from executor.guest import sandbox_plan
from executor.guest.sandbox_plan import Limits, Terms
from executor.guest.scope import writable
from executor.guest.spare import PLACES, Spare

TERMS = Terms(
    capabilities=frozenset({"base:execute"}),
    groups=(2001,),
    exec_lists=("/x/system", "/x/base"),
    trees=("/workspace",),
    limits=Limits(),
    hostname="cordon",
)
SPARE = Spare(1, TERMS, tuple(writable(PLACES)), None, None)  # type: ignore[arg-type] # neither is looked at
OTHER: dict[str, Any] = {
    "capabilities": frozenset({"base:execute", "dev:python"}),
    "groups": (2001, 2002),
    "exec_lists": ("/x/system",),
    "trees": ("/workspace/out",),
    "weaken": frozenset({"quota"}),
    "resolver": "/run/cordon/resolv.conf",
    "artefacts": "/scratch/1/artefact",
}
SET_LATER = {"limits", "hostname"}


def test_a_spare_fits_its_own_terms_whatever_the_limits_and_the_name() -> None:
    """Limits and host name are set from outside: they decide nothing, but for the size of /tmp."""
    asked = replace(TERMS, hostname="vm-1", limits=Limits(mem_quota_mb=128, pids=5, fd_limit=20, disk_quota_mb=1))
    assert SPARE.fits(asked, writable(PLACES))


@pytest.mark.parametrize("field", [field.name for field in fields(Terms) if field.name not in SET_LATER])
def test_any_other_difference_makes_it_unfit(field: str) -> None:
    """Each field of the terms that is not set later counts, those that are added one day too."""
    assert not SPARE.fits(replace(TERMS, **{field: OTHER[field]}), writable(PLACES))


def test_other_places_or_another_tmp_make_it_unfit() -> None:
    """Where the lease may write, and how large /tmp is, cannot be changed from outside."""
    assert not SPARE.fits(TERMS, writable(["/workspace/out/**"]))
    assert not SPARE.fits(replace(TERMS, limits=Limits(mem_quota_mb=100)), writable(PLACES))


def test_limits_set_from_outside_are_those_the_runtime_would_have_set() -> None:
    """Every limit of a lease is in the control group's files or the process's own, with the runtime's value."""
    limits = Limits(
        cpu_quota=50, mem_quota_mb=130, disk_quota_mb=7, wallclock_timeout_s=9, fd_limit=33, pids=12, output_mb=3
    )
    resources = sandbox_plan.resources(limits)
    files = sandbox_plan.control_files(limits)
    assert files == {
        "memory.max": str(resources["memory"]["limit"]),
        "memory.swap.max": str(resources["memory"]["swap"] - resources["memory"]["limit"]),
        "cpu.max": f"{resources['cpu']['quota']} {resources['cpu']['period']}",
        "pids.max": str(resources["pids"]["limit"] - 1),  # the runtime's own process is gone by then
    }
    made = {item["type"]: item["soft"] for item in sandbox_plan.rlimits(limits)}
    made |= sandbox_plan.lowered(replace(TERMS, limits=limits))
    given = sandbox_plan.lease_rlimits(limits)
    assert given == {name: made[name] for name in given}
    usual = {item["type"]: item["soft"] for item in sandbox_plan.rlimits(Limits())}
    assert {name for name in made if made[name] != usual[name]} == given.keys()
