"""The task's control group: figures, kill, removal. Rim."""

from __future__ import annotations

import os
import select
import time
from dataclasses import dataclass
from typing import Final

from executor.guest import kernel

ROOT: Final = "/sys/fs/cgroup"
PARENT: Final = "cordon"
CONTROLLERS: Final = "+cpu +memory +pids"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a group has used; 0 where this guest has no such figure."""

    cpu_usec: int = 0
    memory_bytes: int = 0
    """Without the cache of files, which the kernel gives back before anything is short."""
    memory_peak_bytes: int = 0
    pids: int = 0
    fds: int = 0
    """Open in the process that has the most."""
    forks_refused: int = 0


FD_PROCESSES: Final = 16
"""Processes whose descriptors are counted for one sample: looking at a task of hundreds must stay cheap."""


def set_up() -> None:
    """Make the parent of all task groups and hand the controllers down to it."""
    kernel.write(f"{ROOT}/cgroup.subtree_control", CONTROLLERS)
    os.makedirs(f"{ROOT}/{PARENT}", exist_ok=True)  # noqa: PTH103 - pathlib costs 60 ms of boot
    kernel.write(f"{ROOT}/{PARENT}/cgroup.subtree_control", CONTROLLERS)


def _fds(pid: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - pathlib costs 60 ms of boot
    except OSError:
        return 0  # it has ended meanwhile


def keyed(text: str) -> dict[str, int]:
    """A flat keyed file: `name value` per line."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


class Group:
    """One task's group, by its name below the parent."""

    def __init__(self, name: str) -> None:
        """`name` is a single path component."""
        self.relative: Final = f"/{PARENT}/{name}"
        self.path: Final = f"{ROOT}{self.relative}"

    def _number(self, file: str) -> int:
        try:
            return int(kernel.read(f"{self.path}/{file}"))
        except (OSError, ValueError):
            return 0

    def usage(self) -> Usage:
        """Figures as of now."""
        try:
            cpu = keyed(kernel.read(f"{self.path}/cpu.stat")).get("usage_usec", 0)
        except OSError:
            cpu = 0
        return Usage(
            cpu_usec=cpu,
            memory_bytes=max(0, self._number("memory.current") - self._cache_bytes()),
            memory_peak_bytes=self._number("memory.peak"),
            pids=self._number("pids.current"),
            fds=self._most_fds(),
            forks_refused=self.forks_refused(),
        )

    def _cache_bytes(self) -> int:
        try:
            found = keyed(kernel.read(f"{self.path}/memory.stat"))
        except OSError:
            return 0
        return found.get("inactive_file", 0) + found.get("active_file", 0)

    def _most_fds(self) -> int:
        try:
            members = kernel.read(f"{self.path}/cgroup.procs").split()
        except OSError:
            return 0
        return max((_fds(pid) for pid in members[-FD_PROCESSES:]), default=0)

    def forks_refused(self) -> int:
        """Forks the kernel refused because the group had all the processes it may have."""
        try:
            return keyed(kernel.read(f"{self.path}/pids.events")).get("max", 0)
        except OSError:
            return 0

    def set(self, file: str, value: str) -> None:
        """Write a limit."""
        kernel.write(f"{self.path}/{file}", value)

    def limit_pids(self, most: int) -> None:
        """From now on at most `most` processes and threads."""
        kernel.write(f"{self.path}/pids.max", str(most))

    def oom_kills(self) -> int:
        """Processes the kernel killed because the group's memory was used up."""
        try:
            return keyed(kernel.read(f"{self.path}/memory.events")).get("oom_kill", 0)
        except OSError:
            return 0

    def kill(self, *, patience_s: float = 5.0) -> bool:
        """SIGKILL every process of the group, now and at once; whether all were gone within `patience_s`."""
        try:
            kernel.write(f"{self.path}/cgroup.kill", "1")
            handle = os.open(f"{self.path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        poll = select.poll()
        poll.register(handle, select.POLLPRI)
        until = time.monotonic() + patience_s
        try:
            while time.monotonic() < until:
                if b"populated 0" in os.pread(handle, 256, 0):
                    return True
                poll.poll(20)
            return False
        finally:
            os.close(handle)

    def remove(self) -> None:
        """Take the empty group away; sub-groups a task made first."""
        for folder, _names, _files in os.walk(self.path, topdown=False):
            os.rmdir(folder)  # noqa: PTH106 - pathlib costs 60 ms of boot
