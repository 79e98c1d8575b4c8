"""The processes a machine begins with, and how the launcher makes one of them the command."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any, Final

from executor.sim.agent.sources import groups, profile
from executor.sim.agent.task import MIB, Task
from executor.sim.calls.identity import root_credentials
from executor.sim.calls.programs import become, runnable
from executor.sim.files import sandbox
from executor.sim.files.mounts import MountTable, Place
from executor.sim.files.nodes import Node, error
from executor.sim.files.world import World
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.kernel.kernel import Kernel
from executor.sim.kernel.process import CAPS, Credentials, Namespaces, OpenFile, Pipe, Process

RLIMITS: Final = {
    "RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4, "RLIMIT_NPROC": 6,
    "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9, "RLIMIT_SIGPENDING": 11, "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14,
}  # fmt: skip
STATUS_HANDLE: Final = 4
"""Where the launcher tells the agent the command's wait status (fixtures/gold_image/launch.c)."""
NOFILE_WITHOUT: Final = (1024, 524288)
"""RLIMIT_NOFILE where nobody set one."""


def guest_process(world: World, pid: int, name: str, uid: int = 0) -> Process:
    """A process of the guest's own, outside every sandbox."""
    table = world.guest
    root = Place(table.root, table.root.root)
    made = Process(pid, None, root_credentials(), table, root, root, program=name, argv=(name,))
    made.environment = {"HOME": "/", "TERM": "linux"}
    made.dumpable = uid == 0
    made.group = made.session = 0 if name == "kthreadd" else pid
    return made


def launcher(
    world: World, config: Mapping[str, Any], table: MountTable, pid: int, lowered: Mapping[str, int]
) -> Process:
    """A sandbox's first process, as its configuration says; `lowered` are limits the agent sets once it is made."""
    wanted = config["process"]
    root = Place(table.root, table.root.root)
    made = Process(pid, None, _credentials(wanted), table, root, root, program="launch", argv=("launch",))
    made.umask = wanted["user"]["umask"]
    made.limits = {RLIMITS[one["type"]]: (one["soft"], one["hard"]) for one in wanted.get("rlimits", ())}
    made.limits.update({RLIMITS[name]: (most, most) for name, most in lowered.items()})
    made.limits.setdefault(RLIMITS["RLIMIT_NOFILE"], NOFILE_WITHOUT)
    made.limits.setdefault(RLIMITS["RLIMIT_MEMLOCK"], (8 * MIB, 8 * MIB))
    made.filter = profile() if "seccomp" in config["linux"] else None
    made.landlock = sandbox.landlock(world, table, wanted["args"], {gid: name for name, gid in groups().items()})
    numbers = {"mount": "mnt", "network": "net"}
    kinds = {numbers.get(one["type"], one["type"]) for one in config["linux"]["namespaces"]}
    made.namespaces = Namespaces(**dict.fromkeys(kinds, 1))
    made.dumpable, made.confined, made.cgroup = False, True, "/cordon/t1001"
    made.environment = {"PATH": "/usr/bin:/bin"}
    status = OpenFile(None, Node(world.pipes, stat.S_IFIFO | 0o600), os.O_WRONLY, 0, None, "pipe", 1)
    status.extra = status.node.pipe = Pipe(readers=1, writers=1)
    made.files[STATUS_HANDLE] = (status, True)
    return made


def _credentials(wanted: Mapping[str, Any]) -> Credentials:
    sets = {
        kind: sum(CAPS[name.removeprefix("CAP_")] for name in names) for kind, names in wanted["capabilities"].items()
    }
    uid, gid = wanted["user"]["uid"], wanted["user"]["gid"]
    return Credentials(
        uid=(uid, uid, uid),
        gid=(gid, gid, gid),
        fsuid=uid,
        groups=tuple(wanted["user"]["additionalGids"]),
        no_new_privs=wanted["noNewPrivileges"],
        **sets,
    )


def child(kernel: Kernel, parent: Process, argv: Sequence[str], environment: dict[str, str], task: Task) -> Process:
    """The launcher's child that becomes the command; its output is the task's."""
    world = kernel.world
    pid = next(kernel.next_pid)
    made = Process(pid, parent, parent.credentials, parent.mounts, parent.root, parent.root)
    made.argv = tuple(argv)
    made.environment, made.umask, made.limits = environment, parent.umask, dict(parent.limits)
    made.filter, made.landlock, made.namespaces = parent.filter, parent.landlock, parent.namespaces
    made.group = made.session = pid
    made.confined, made.cgroup = True, parent.cgroup
    parent.children.append(made)
    null = world.devtmpfs.root.node.children["null"]
    made.files[0] = (OpenFile(Place(world.guest.root, null), null.node, os.O_RDWR, count=1), False)
    for number, pipe in ((1, task.stdout), (2, task.stderr)):
        node = Node(world.pipes, stat.S_IFIFO | 0o600)
        made.files[number] = (OpenFile(None, node, os.O_WRONLY, 0, pipe, "pipe", 1), False)
    kernel.processes[pid] = made
    return made


def execute(kernel: Kernel, process: Process, path: str, cwd: str, argv: list[str]) -> None:
    """chdir and execve as the launcher does them, with its words and exit codes when they fail."""
    stderr: Pipe = process.files[2][0].extra
    try:
        place = process.find(cwd)
        if not place.dentry.node.is_dir:
            raise error(errno.ENOTDIR)
        process.check_search(place)
        process.cwd = place
    except OSError as failure:
        stderr.buffer += f"launch: {cwd}: {failure.strerror}\n".encode()
        kernel.end(process, 126 << 8)
        return
    try:
        found = process.find(path)
        program, argv = runnable(process, found, path, argv, 5)
        process.argv = tuple(argv)
        process.executable = process.path_of(found)
        become(process, found)
    except OSError as failure:
        stderr.buffer += f"launch: {path}: {failure.strerror}\n".encode()
        kernel.end(process, (127 if failure.errno == errno.ENOENT else 126) << 8)
        return
    except UnmodelledError as what:
        kernel.give_up(process, str(what))
        return
    kernel.boot(process, program)


def is_there(process: Process, path: str) -> bool:
    """Whether `process` finds something at `path`."""
    try:
        process.find(path)
    except OSError:
        return False
    return True
