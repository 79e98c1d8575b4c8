"""The OCI configuration of a sandbox: what is in force, and that each control can be taken away alone."""

import json
from dataclasses import replace
from typing import Any

import pytest

from executor import weaken
from executor.guest import agent, sandbox_plan
from executor.guest.errors import DeniedError
from executor.guest.sandbox_plan import Limits, Terms
from executor.image.recipe import PROJECT

SECCOMP = json.loads((PROJECT / "executor/guest/seccomp.json").read_text())
TERMS = Terms(
    capabilities=frozenset({"base:execute"}),
    groups=(2001,),
    exec_lists=("/opt/cordon/exec.d/system", "/opt/cordon/exec.d/base_execute"),
    trees=("/workspace/out",),
    limits=Limits(),
    hostname="vm-1",
)


def config(terms: Terms) -> dict[str, Any]:
    return sandbox_plan.config(terms, root="/r", workspace="/s/1", cgroup="/cordon/t1", seccomp=SECCOMP)


def test_everything_is_in_force_by_default() -> None:
    """The strict configuration's controls, one by one."""
    found = config(TERMS)
    process, linux = found["process"], found["linux"]
    assert process["user"] == {"uid": 1000, "gid": 1000, "umask": 0o022, "additionalGids": [2001]}
    assert process["noNewPrivileges"] is True
    assert set(map(tuple, process["capabilities"].values())) == {()}
    assert found["root"] == {"path": "/r", "readonly": True}
    assert {item["type"] for item in linux["namespaces"]} == {"pid", "mount", "network", "ipc", "uts", "cgroup"}
    assert linux["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert linux["resources"]["memory"] == {"limit": 256 << 20, "swap": 256 << 20}
    assert linux["resources"]["cpu"] == {"quota": 100_000, "period": 100_000}
    assert linux["resources"]["unified"] == {"memory.oom.group": "1"}
    assert process["args"] == [
        "/opt/cordon/bin/launch", "-e", "-x", "/opt/cordon/exec.d/system", "-x", "/opt/cordon/exec.d/base_execute",
        "-f", "-w", "/workspace/out", "-w", "/dev",
    ]  # fmt: skip


def test_every_mount_is_nosuid_and_none_is_both_writable_and_executable() -> None:
    """Without dev:compiler; /workspace itself is read-only when the lease names a folder in it."""
    terms = replace(TERMS, capabilities=frozenset({"base:execute", "fs:write_tmp"}))
    mounts = {item["destination"]: item["options"] for item in config(terms)["mounts"]}
    assert set(mounts) == {"/proc", "/dev", "/workspace", "/workspace/out", "/tmp"}  # noqa: S108 - the sandbox's
    assert all("nosuid" in options and "noexec" in options for options in mounts.values())
    assert "ro" in mounts["/workspace"]
    assert "rw" in mounts["/workspace/out"]


def test_docker_masks_nothing_that_is_open_here() -> None:
    """The masked and read-only paths contain Docker's."""
    docker_masked = {
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
        "/sys/firmware",
    }  # fmt: skip
    linux = config(TERMS)["linux"]
    assert docker_masked <= set(linux["maskedPaths"])
    assert {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"} <= set(linux["readonlyPaths"])


CHANGES = {
    "seccomp": {"linux.seccomp"},
    "readonly_root": {"root.readonly", "mounts", "process.args"},
    "capabilities": {"process.capabilities", "process.noNewPrivileges"},
    "unprivileged_user": {"process.user"},
    "masked_paths": {"linux.maskedPaths", "linux.readonlyPaths", "mounts"},
    "capability_map": {"process.args"},
    "noexec": {"mounts", "process.args"},
    "landlock": {"process.args"},
    "namespaces": {"linux.namespaces", "hostname"},
    "cgroup": {"linux.resources"},
    "rlimits": {"process.rlimits"},
}


@pytest.mark.parametrize("control", sorted(CHANGES))
def test_a_control_is_taken_away_alone(control: str) -> None:
    """Weakening one control changes exactly the parts of the configuration that carry it."""

    def flat(found: dict[str, Any]) -> dict[str, Any]:
        parts = {}
        for key, value in found.items():
            parts.update(
                {f"{key}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
            )
        return parts

    strict, weak = flat(config(TERMS)), flat(config(replace(TERMS, weaken=frozenset({control}))))
    assert {name for name in strict.keys() | weak.keys() if strict.get(name) != weak.get(name)} == CHANGES[control]


def test_the_agent_knows_the_hosts_controls() -> None:
    """Both sides hold the same names; those without a part in the configuration are the agent's own checks."""
    assert frozenset(weaken.GUEST_CONTROLS) == agent.CONTROLS
    own = {
        "quota",
        "lockdown",
        "command_check",
        "env_filter",
        "collect_check",
        "artefact_check",
        "compromised_agent",
        "reset",
    }
    assert agent.CONTROLS - set(CHANGES) == own


@pytest.mark.parametrize(
    "field", ["cpu_quota", "mem_quota_mb", "disk_quota_mb", "wallclock_timeout_s", "fd_limit", "pids", "output_mb"]
)
def test_a_missing_limit_is_denied(field: str) -> None:
    """No limit is not a limit of nothing."""
    assert sandbox_plan.granted(Limits()) == Limits()
    with pytest.raises(DeniedError, match=field):
        sandbox_plan.granted(replace(Limits(), **{field: 0}))


def test_few_descriptors_are_the_tasks_and_not_the_runtimes() -> None:
    """The runtime may have what it needs to make the sandbox; what the lease grants is set before the command."""
    few, many = (replace(TERMS, limits=replace(TERMS.limits, fd_limit=number)) for number in (16, 500))
    made = {one["type"]: one["hard"] for one in sandbox_plan.rlimits(few.limits)}
    assert (made["RLIMIT_NOFILE"], sandbox_plan.lowered(few)) == (sandbox_plan.FDS_TO_MAKE, {"RLIMIT_NOFILE": 16})
    made = {one["type"]: one["hard"] for one in sandbox_plan.rlimits(many.limits)}
    assert (made["RLIMIT_NOFILE"], sandbox_plan.lowered(many)) == (500, {})
    assert sandbox_plan.lowered(replace(few, weaken=frozenset({"rlimits"}))) == {}
