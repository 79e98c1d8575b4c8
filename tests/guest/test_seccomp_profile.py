"""The seccomp profile's data."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from executor.image.recipe import PROJECT

PROFILE = json.loads((PROJECT / "executor/guest/seccomp.json").read_text())
DOCKER_DENIES = frozenset(
    {
        "_sysctl",
        "acct",
        "add_key",
        "afs_syscall",
        "bpf",
        "clock_settime",
        "clone3",
        "create_module",
        "delete_module",
        "fanotify_init",
        "file_getattr",
        "file_setattr",
        "finit_module",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "get_kernel_syms",
        "get_mempolicy",
        "getpmsg",
        "init_module",
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
        "ioperm",
        "iopl",
        "kcmp",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "listns",
        "lookup_dcookie",
        "lsm_get_self_attr",
        "lsm_list_modules",
        "lsm_set_self_attr",
        "mbind",
        "migrate_pages",
        "mount",
        "mount_setattr",
        "move_mount",
        "move_pages",
        "nfsservctl",
        "open_by_handle_at",
        "open_tree",
        "open_tree_attr",
        "perf_event_open",
        "pidfd_getfd",
        "pivot_root",
        "process_madvise",
        "putpmsg",
        "query_module",
        "quotactl",
        "quotactl_fd",
        "reboot",
        "request_key",
        "rseq_slice_yield",
        "security",
        "set_mempolicy",
        "set_mempolicy_home_node",
        "setdomainname",
        "sethostname",
        "setns",
        "settimeofday",
        "swapoff",
        "swapon",
        "sysfs",
        "syslog",
        "tuxcall",
        "umount2",
        "unshare",
        "uprobe",
        "uselib",
        "userfaultfd",
        "ustat",
        "vhangup",
        "vserver",
    }
)
"""What Docker's default profile denies to a container without capabilities, x86_64."""


def verdicts(call: str, args: tuple[int, ...] = (0,) * 6) -> Iterator[tuple[str, int | None]]:
    """Every rule's verdict on a call, read as libseccomp does: all conditions of a rule must hold."""
    for rule in PROFILE["syscalls"]:
        if call in rule["names"] and all(holds(condition, args) for condition in rule.get("args", ())):
            yield rule["action"], rule.get("errnoRet")


def holds(condition: dict[str, Any], args: tuple[int, ...]) -> bool:
    value, against = args[condition["index"]], int(condition["value"])
    operation = condition["op"].removeprefix("SCMP_CMP_")
    if operation == "MASKED_EQ":
        return bool(value & against == int(condition["valueTwo"]))
    return bool({"EQ": value == against, "GT": value > against}[operation])


def verdict(call: str, *args: int) -> tuple[str, int | None]:
    """The one verdict on a call."""
    found = set(verdicts(call, (*args, *(0,) * (6 - len(args)))))
    assert len(found) <= 1, f"rules contradict each other on {call}{args}: {found}"
    return found.pop() if found else (PROFILE["defaultAction"], PROFILE["defaultErrnoRet"])


def test_nothing_docker_denies_is_allowed() -> None:
    """All 76 calls are named by a rule that is no allowance, or known and left to the default."""
    assert len(DOCKER_DENIES) == 76
    named = {name: rule["action"] for rule in PROFILE["syscalls"] for name in rule["names"]}
    newer = set(PROFILE["cordon"]["newer"]["names"])
    assert [call for call in sorted(DOCKER_DENIES) if call not in named and call not in newer] == []
    assert [call for call in sorted(DOCKER_DENIES) if named.get(call) == "SCMP_ACT_ALLOW"] == []


@pytest.mark.parametrize(
    "call",
    ["bpf", "kexec_load", "init_module", "mount", "umount2", "setns", "unshare", "ptrace", "process_vm_writev",
     "keyctl", "reboot", "io_uring_setup", "perf_event_open", "userfaultfd", "fsopen", "swapon", "iopl"],
)  # fmt: skip
def test_kernel_primitives_kill(call: str) -> None:
    """The whole process dies, so that the attempt is seen."""
    assert verdict(call) == ("SCMP_ACT_KILL_PROCESS", None)


@pytest.mark.parametrize(
    ("call", "args", "expected"),
    [
        ("clone", (0x11,), ("SCMP_ACT_ALLOW", None)),
        ("clone", (0x003D0F00,), ("SCMP_ACT_ALLOW", None)),
        *(("clone", (flag | 0x11,), ("SCMP_ACT_KILL_PROCESS", None)) for flag in
          (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)),
        ("clone3", (), ("SCMP_ACT_ERRNO", 38)),
        ("socket", (1,), ("SCMP_ACT_ALLOW", None)),
        ("socket", (2,), ("SCMP_ACT_ALLOW", None)),
        ("socket", (10,), ("SCMP_ACT_ALLOW", None)),
        *(("socket", (family,), ("SCMP_ACT_ERRNO", 97)) for family in (0, 3, 9, 11, 16, 17, 38, 40, 44)),
        ("socket", ((1 << 32) + 17,), ("SCMP_ACT_ERRNO", 97)),
        ("personality", (0xFFFFFFFF,), ("SCMP_ACT_ALLOW", None)),
        ("personality", (0x40000,), ("SCMP_ACT_ERRNO", 38)),
        ("ioctl", (0, 0x5401), ("SCMP_ACT_ALLOW", None)),
        ("ioctl", (0, 0x5412), ("SCMP_ACT_ERRNO", 1)),
        ("ioctl", (0, 0x100005412), ("SCMP_ACT_ERRNO", 1)),
        *(("ioctl", (0, denied), ("SCMP_ACT_ERRNO", 1)) for denied in (0x541C, 0x40086602, 0x401C5820)),
        *(("ioctl", (0, 0x401C5820 ^ 1 << bit), ("SCMP_ACT_ALLOW", None)) for bit in range(32)),
        *(("ioctl", (0, 0x40086602 ^ 1 << bit), ("SCMP_ACT_ALLOW", None)) for bit in range(32)),
        ("ioctl", (0, 0x801C581F), ("SCMP_ACT_ALLOW", None)),
        ("mknod", (0, 0o010644), ("SCMP_ACT_ALLOW", None)),
        ("mknod", (0, 0o020644), ("SCMP_ACT_ERRNO", 1)),
        ("mknodat", (0, 0, 0o060644), ("SCMP_ACT_ERRNO", 1)),
        ("memfd_create", (), ("SCMP_ACT_ERRNO", 1)),
        ("execveat", (), ("SCMP_ACT_ERRNO", 1)),
        ("no_such_call", (), ("SCMP_ACT_ERRNO", 38)),
    ],
)  # fmt: skip
def test_calls_judged_by_their_arguments(call: str, args: tuple[int, ...], expected: tuple[str, int | None]) -> None:
    """Each call with arguments has exactly one verdict, the meant one, also with bits the kernel ignores."""
    assert verdict(call, *args) == expected


def test_only_the_native_architecture() -> None:
    """Calls by i386 or x32 numbers are not judged by name at all: they kill."""
    assert PROFILE["architectures"] == ["SCMP_ARCH_X86_64"]
    assert (PROFILE["defaultAction"], PROFILE["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)
