"""Controls that drills can take away, one name each: the switchboard of positive controls and sabotage cases.

The service never passes any (`cordon serve` has no option for it); every weakened VM says so in its `vm_event` and in
the guest's `Ready`, so that a weakened run cannot be taken for a real one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from executor.errors import InvalidInputError

GUEST_CONTROLS: Final[dict[str, str]] = {
    "seccomp": "no seccomp filter",
    "readonly_root": "the sandbox root is writable",
    "capabilities": "the task keeps every kernel capability and no_new_privs is off",
    "unprivileged_user": "the task runs as uid 0 of the guest",
    "masked_paths": "nothing in /proc, /sys or /dev is masked or read-only",
    "capability_map": "binaries of capabilities that were not granted stay executable",
    "noexec": "writable places may hold executable files",
    "landlock": "no Landlock rules",
    "namespaces": "the task shares the guest's pid, net, ipc, uts and cgroup namespaces",
    "cgroup": "no cgroup limits",
    "rlimits": "no resource limits per process",
    "quota": "no disk, output or wall-clock limit in the guest",
    "lockdown": "what boot needed stays open: modules, kexec, sysctls",
    "command_check": "the agent does not compare commands with the lease's list",
    "env_filter": "the agent passes every environment variable on",
    "collect_check": "collected paths may leave the workspace and follow links",
    "artefact_check": "an artefact may hold other bytes than the lease names",
    "reset": "RESET wipes nothing: the next task of a reused VM finds the last one's workspace",
    "compromised_agent": "`Start.compromised` runs a command outside the sandbox as the guest's root",
}
"""Controls enforced inside the guest; sent to the agent in `Configure.weaken`."""

HOST_CONTROLS: Final[dict[str, str]] = {
    "lease_check": "the lease is not verified before dispatch",
    "signature": "lease signatures are not checked",
    "policy": "the policy's denial is ignored",
    "review": "review verdicts are not asked for",
    "host_wallclock": "the host does not end a task at its deadline",
    "host_quota": "the host ends no task for what it uses, whatever it sees",
    "alert": "no alert comes before a breach",
    "kill_switch": "kill orders are taken and not carried out",
    "dead_man": "no machine is destroyed for being assigned too long",
    "history": "the policy is told of no violation that is on record",
    "overlay_cleanup": "overlays stay behind",
    "ioguard": "the channel is read without a rate limit",
    "budget_check": "a task runs although its requester's budget was spent meanwhile",
    "channel_check": "whatever the guest says on its channel is believed: frames, order and bounds are not checked",
    "device_allowlist": "the machine gets devices that nobody granted, and an agent disk it may write",
    "qemu_confinement": "QEMU runs as root, with root's capabilities and without limits of its own",
    "oracle_verdict": "the executor signs for a kernel whatever the oracle found",
    "nic_blackhole": "the VM gets a network card that leads everywhere although none was granted",
    "egress_allowlist": "a granted network card leads everywhere the uplink does",
    "dns_allowlist": "names that were not granted are carried to a resolver outside",
    "frame_filter": "the bridge takes any frame: forged addresses, other protocols, fragments, broadcast",
    "vm_isolation": "the bridge passes frames from machine to machine",
    "gateway_closed": "machines may talk to every port of the gateway",
    "event_drop": "one event of the trail is not recorded",
}
"""Controls enforced on the host."""

ALL: Final[frozenset[str]] = frozenset(GUEST_CONTROLS) | frozenset(HOST_CONTROLS)


def parse(names: Iterable[str]) -> frozenset[str]:
    """The set of `names`; raises `InvalidInputError` for one that is no control."""
    chosen = frozenset(names)
    if unknown := sorted(chosen - ALL):
        raise InvalidInputError(f"no such control: {', '.join(unknown)}; there are {', '.join(sorted(ALL))}")
    return chosen
