"""The task's folder on the scratch disk, with its quota: executor/guest/workspace.py on the modelled disk."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from executor.channel.session import COLLECT_BYTES
from executor.guest.collecting import too_many
from executor.guest.errors import DeniedError
from executor.guest.sandbox_plan import WORKSPACE
from executor.guest.scope import Writable
from executor.guest.workspace import (
    INODE_SLACK,
    MAX_DEPTH,
    MAX_PATH,
    SCRATCH,
    SLACK_KIB,
    quota_for,
    relative,
    shown,
)
from executor.intent import FileIn
from executor.outcome import CollectedFile
from executor.sim.calls.identity import root_credentials
from executor.sim.files.mounts import Place
from executor.sim.files.nodes import Dentry, Node, Quota, file, folder
from executor.sim.files.world import World
from executor.sim.kernel.process import Process


class Workspace:
    """The task's folder on the scratch disk, with its quota: executor/guest/workspace.py on the modelled disk."""

    def __init__(self, world: World, places: Sequence[Writable], disk_quota_mb: int, owner: int) -> None:
        """`disk_quota_mb` 0 is no quota."""
        self._world = world
        self._places = places
        self._owner = owner
        self._limit = quota_for(disk_quota_mb) if disk_quota_mb else None
        self._quota = Quota(
            self._limit.bytes + SLACK_KIB * 1024 if self._limit else 0,
            self._limit.inodes + INODE_SLACK if self._limit else 0,
        )
        self._received = 0
        base = folder(world.scratch.root, "1", 0o700)
        self._counted(base.node)
        self.root = folder(base, "workspace", 0o755)
        self._counted(self.root.node)
        for place in places:
            self._make(place)

    def _counted(self, node: Node) -> None:
        node.quota, node.project, node.flags = self._quota, 1001, 0x20000000
        self._quota.inodes += 1
        if node.is_dir:
            self._quota.bytes += 4096

    def _make(self, place: Writable) -> None:
        if place.path == WORKSPACE:
            self.root.node.uid = self.root.node.gid = self._owner
            return
        name = relative(place.path)
        parent = self._folder(name.rpartition("/")[0])
        leaf = name.rpartition("/")[2]
        if leaf in parent.node.children:
            return
        if place.folder:
            node = folder(parent, leaf, 0o755, self._owner, self._owner).node
        else:
            node = file(parent, leaf, b"", 0o644, self._owner, self._owner)
        self._counted(node)

    def _is_writable(self, name: str) -> bool:
        path = f"{WORKSPACE}/{name}"
        return any(
            path == place.path or (place.folder and (place.path == WORKSPACE or path.startswith(f"{place.path}/")))
            for place in self._places
        )

    def _folder(self, name: str) -> Dentry:
        here, done = self.root, ""
        for part in name.split("/") if name else ():
            done = f"{done}/{part}".lstrip("/")
            found = here.node.children.get(part)
            if found is None:
                owner = self._owner if self._is_writable(done) else 0
                found = folder(here, part, 0o755, owner, owner)
                self._counted(found.node)
            if not found.node.is_dir:
                raise DeniedError("guest.put_failed", f"{WORKSPACE}/{done}: Not a directory")
            here = found
        return here

    def put(self, given: FileIn) -> None:
        """Store a file; raises `DeniedError`."""
        name = relative(given.path)
        self._received += len(given.content)
        if self._limit is not None and self._received > self._limit.bytes:
            raise DeniedError("guest.disk_quota", f"the files put in are over {self._limit.bytes} bytes of disk quota")
        parent = self._folder(name.rpartition("/")[0])
        leaf = name.rpartition("/")[2]
        owner = self._owner if self._is_writable(name) else 0
        found = parent.node.children.get(leaf)
        if found is not None and found.node.kind != stat.S_IFREG:
            raise DeniedError("guest.put_failed", f"{given.path} is there and is no regular file")
        node = found.node if found else file(parent, leaf, b"", 0o600, owner, owner)
        if found is None:
            self._counted(node)
        try:
            node.resize(0)
            node.resize(len(given.content))
        except OSError as failure:
            raise DeniedError("guest.put_failed", f"{given.path}: {failure.strerror}") from failure
        node.data[:] = given.content
        node.mode = stat.S_IFREG | given.mode & 0o777

    def used(self) -> int:
        """Bytes that count."""
        return self._quota.bytes

    def over(self) -> bool:
        """Whether more was written than the lease allows."""
        if self._limit is None:
            return False
        return self._quota.bytes > self._limit.bytes or self._quota.inodes > self._limit.inodes

    def collect(self, paths: Iterable[str], *, checked: bool) -> tuple[CollectedFile, ...]:
        """Files at or below `paths`, with their content or why it was refused."""
        found: list[CollectedFile] = []
        left, names = COLLECT_BYTES, 0
        for path, node, refused in self.files([one.rstrip("/") for one in paths], checked=checked):
            if node is None or refused:
                found.append(CollectedFile(path, (node.mode if node else 0) & 0o7777, b"", refused))
            elif len(node.data) > left:
                why = f"{len(node.data)} bytes are more than the {left} left of {COLLECT_BYTES}"
                found.append(CollectedFile(path, node.mode & 0o7777, b"", why))
            else:
                left -= len(node.data)
                found.append(CollectedFile(path, node.mode & 0o7777, bytes(node.data)))
            names += len(path) + len(found[-1].refused)
            if why := too_many(len(found), names):
                found.append(CollectedFile(path, 0, b"", why))
                break
        return tuple(found)

    def files(self, paths: Iterable[str], *, checked: bool) -> Iterator[tuple[str, Node | None, str]]:
        """(path, node, why refused) of each file at or below `paths`."""
        for path in paths:
            if not checked:
                yield self._unchecked(path)
                continue
            try:
                name = "" if path == WORKSPACE else relative(path)
            except DeniedError as refusal:
                yield path, None, str(refusal)
                continue
            yield from self._walk(name)

    def _walk(self, name: str) -> Iterator[tuple[str, Node | None, str]]:
        path = f"{WORKSPACE}/{name}".rstrip("/")
        if len(path) > MAX_PATH:
            yield path[:MAX_PATH], None, "its path is too long"
            return
        if name.count("/") >= MAX_DEPTH:
            yield path, None, f"more than {MAX_DEPTH} folders deep"
            return
        here = self.root
        for part in name.split("/") if name else ():
            found = here.node.children.get(part)
            if here.node.kind == stat.S_IFLNK or (found and found.node.kind == stat.S_IFLNK):
                yield path, None, "a link, or leads out of the workspace"
                return
            if found is None:
                yield path, None, os.strerror(errno.ENOENT if here.node.is_dir else errno.ENOTDIR)
                return
            here = found
        node = here.node
        if node.kind == stat.S_IFREG:
            yield path, node, ""
        elif not node.is_dir:
            yield path, node, "not a regular file"
        else:
            for leaf in sorted(node.children):
                if (told := shown(leaf)) != leaf:
                    yield f"{path}/{told}"[:MAX_PATH], None, "its name is no UTF-8"
                    continue
                yield from self._walk(f"{name}/{leaf}".lstrip("/"))

    def _unchecked(self, path: str) -> tuple[str, Node | None, str]:
        """For the drill that takes the check away: an ordinary open by the agent, links followed."""
        table = self._world.guest
        root = Place(table.root, table.root.root)
        looker = Process(0, None, root_credentials(), table, root, root)
        inside = path.removeprefix(WORKSPACE)
        target = f"{SCRATCH}/1/workspace{inside}" if inside != path else path
        try:
            node = looker.find(target).dentry.node
        except OSError as failure:
            return path, None, str(failure.strerror)
        if node.read is not None:
            told = Node(node.system, node.mode)
            told.data += node.read(looker)
            return path, told, ""
        return path, node, ""
