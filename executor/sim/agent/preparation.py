"""A sandbox as the lease asks for it, and what a command has to pass, as executor/guest/sandbox.py has it."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from executor.guest import artefact, launch_request, sandbox_plan
from executor.guest.capability import Programs
from executor.guest.errors import DeniedError
from executor.guest.sandbox_plan import TASK_UID, WORKSPACE
from executor.guest.scope import writable
from executor.guest.workspace import SCRATCH
from executor.intent import FileIn, Limits
from executor.sim.agent.artefacts import Artefacts
from executor.sim.agent.sources import groups
from executor.sim.agent.workspace import Workspace
from executor.sim.calls.identity import root_credentials
from executor.sim.files import rootfs
from executor.sim.files.mounts import Walk
from executor.sim.files.world import World
from executor.sim.kernel.process import Process

_SEARCH: Final = ("/usr/bin", "/bin")


class Lease:
    """What the host said the sandbox is for."""

    def __init__(
        self,
        capabilities: Iterable[str],
        paths_write: Iterable[str],
        env_allowlist: Iterable[str],
        commands: Iterable[tuple[str, ...]],
        limits: Limits,
        artefacts: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.artefacts = tuple(artefacts)
        self.capabilities = tuple(capabilities)
        self.paths_write = tuple(paths_write)
        self.env_allowlist = tuple(env_allowlist)
        self.commands = frozenset(tuple(one) for one in commands)
        self.limits = limits


class Preparation:
    """The terms of a sandbox, its workspace and its artefacts."""

    def __init__(self, world: World, lease: Lease, hostname: str, weaken: frozenset[str]) -> None:
        """Judge the lease and make the folders; raises `DeniedError`."""
        self._world, self._lease = world, lease
        capabilities = frozenset(lease.capabilities)
        self._programs: Final = _programs()
        self._programs.check_known(capabilities)
        limits = sandbox_plan.granted(lease.limits)
        places = writable(lease.paths_write)
        named = artefact.named_by(lease.artefacts, capabilities)
        shown = frozenset(groups()) if "capability_map" in weaken else capabilities
        self.terms: Final = sandbox_plan.Terms(
            capabilities=capabilities,
            groups=self._programs.gids(shown),
            exec_lists=self._programs.exec_lists(shown),
            trees=tuple(place.path for place in places),
            limits=limits,
            hostname=hostname,
            weaken=weaken,
            resolver="/etc/resolv.conf" if world.segment else "",
            artefacts=f"{SCRATCH}/1/artefact" if named else "",
        )
        owner = TASK_UID if self.terms.has("unprivileged_user") else 0
        quota = limits.disk_quota_mb if self.terms.has("quota") else 0
        self.workspace: Final = Workspace(world, places, quota, owner)
        self._artefacts: Final = Artefacts(world, named, checked=self.terms.has("artefact_check"))

    def put_file(self, given: FileIn) -> None:
        """Store a file; raises `DeniedError`."""
        if given.path.startswith(f"{artefact.PLACE}/"):
            self._artefacts.put(given)
        else:
            self.workspace.put(given)

    def checked(
        self, launcher: Process, argv: Sequence[bytes], cwd: str, env: Mapping[str, str]
    ) -> tuple[str, Mapping[str, bytes]]:
        """The path to execute and the environment, by the lease's list and the capability map; raises `DeniedError`."""
        if not argv:
            raise DeniedError("guest.bad_command", "an empty command")
        text = tuple(one.decode("utf-8", "surrogateescape") for one in argv)
        if self.terms.has("command_check") and text not in self._lease.commands:
            raise DeniedError("guest.command_not_in_lease", f"the lease does not list {list(text)}"[:200])
        if missing := self._artefacts.missing:
            raise DeniedError("guest.artefact_missing", f"{missing[0]} has not come")
        path = self._program(launcher, text[0], cwd or "/")
        environment = launch_request.environment(
            sandbox_plan.DEFAULT_ENV,
            [(name, value.encode()) for name, value in sorted(env.items())],
            self._lease.env_allowlist,
            enforced=self.terms.has("env_filter"),
        )
        launch_request.encode(cwd=(cwd or WORKSPACE).encode(), file=path.encode(), argv=argv, env=environment)
        return path, environment

    def _program(self, launcher: Process, name: str, cwd: str) -> str:
        """The path that execve is given, once the capability map has said yes."""
        terms = self.terms
        candidates = (
            [name if name.startswith("/") else f"{cwd}/{name}"] if "/" in name else [f"{one}/{name}" for one in _SEARCH]
        )
        looker = Process(0, None, root_credentials(), launcher.mounts, launcher.root, launcher.root)
        for path in candidates:
            try:
                place = Walk(looker).find(path, launcher.root)[0]
            except OSError:
                continue
            node = place.dentry.node
            if node.kind != stat.S_IFREG:
                continue
            if terms.has("capability_map") and terms.has("readonly_root"):
                if id(node) in self._artefacts.complete:
                    return path
                known = place.mount.system is self._world.image
                identity = (1, id(node)) if known else (2, id(node))
                own = sandbox_plan.may_execute_own(terms)
                self._programs.check(identity, path, terms.capabilities, own_files=own)
            return path
        return candidates[0]


def _programs() -> Programs:
    by_identity = {
        (1, id(node)): name
        for name, nodes in rootfs.image_programs(tuple((gid, name) for name, gid in groups().items())).items()
        for node in nodes
    }
    return Programs(by_identity, groups(), 1)
