"""Judge a host: facts in, findings out; no IO. One finding per part, always the same parts, in the same order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from executor.host import host_parts, tool_parts, vm_parts
from executor.host.facts import HostFacts
from executor.host.finding import Finding

PROGRAMS: Final = (*vm_parts.IMAGE_TOOLS, *host_parts.NETWORK_TOOLS, "qemu-img", "xorriso")
"""Programs whose being there is looked up."""

_PARTS: Final[tuple[Callable[[HostFacts], Finding], ...]] = (
    host_parts.python,
    host_parts.machine,
    host_parts.user,
    vm_parts.kvm,
    vm_parts.qemu,
    vm_parts.libvirt,
    vm_parts.accounts,
    vm_parts.image,
    vm_parts.agent_disk,
    tool_parts.opa,
    tool_parts.regal,
    tool_parts.allure,
    tool_parts.browser,
    host_parts.cgroup,
    host_parts.memory,
    host_parts.user_namespaces,
    host_parts.network,
    host_parts.apparmor,
)


def judge(facts: HostFacts) -> tuple[Finding, ...]:
    """Every finding on `facts`: one per part, then one per folder."""
    folders = (host_parts.folder_room(folder, facts) for folder in facts.folders)
    return (*(part(facts) for part in _PARTS), *folders)


def drills_can_run(findings: Sequence[Finding]) -> bool:
    """That nothing the drills need is missing."""
    return all(finding.status != "fail" for finding in findings)
