"""/proc: a folder for each process, among the machine's own files (machine_facts.py)."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.identity import may_look
from executor.sim.files import machine_facts
from executor.sim.files.nodes import Dentry, FileSystem, Node, error, folder, link
from executor.sim.files.virtual import virtual
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.files.world import World


class ProcFs:
    """One mount's worth of /proc: it shows the processes of one pid namespace."""

    def __init__(self, world: World, members: Callable[[], Iterable[Process]], *, whole: bool) -> None:
        """`members` are the processes it shows; `whole`: it is the machine's own and shows everything."""
        self.system: Final = FileSystem("proc")
        self._world = world
        self._members = members
        self._whole = whole
        self._folders: dict[int, Dentry] = {}
        self._looked_at = False
        root = self.system.root
        root.node.mode = stat.S_IFDIR | 0o555
        root.node.find = self._find
        root.node.names = self._names

    def _names(self, _process: Process) -> list[str]:
        self._machine()
        return [str(one.pid) for one in self._members()]

    def _machine(self) -> None:
        """The machine's own files, made when somebody looks for the first time: few look into the guest's."""
        if not self._looked_at:
            self._looked_at = True
            machine_facts.fill(self.system.root, self._world)

    def _find(self, process: Process, name: str) -> Dentry | None:
        if not name.isdecimal():
            self._machine()
            return None
        for one in self._members():
            if one.pid == int(name):
                return self._of(one)
        return None

    def _of(self, target: Process) -> Dentry:
        """The folder of a process; the same one each time it is asked for."""
        found = self._folders.get(target.pid)
        if found is None or found.node.special != str(id(target)):
            found = self._folders[target.pid] = Dentry(str(target.pid), self.system.root, self._folder(target))
            found.node.special = str(id(target))
            self._fill(found, target)
        self._own(found, target)
        return found

    def _folder(self, target: Process) -> Node:
        return Node(self.system, stat.S_IFDIR | 0o555, target.credentials.uid[1], target.credentials.gid[1])

    def _own(self, entry: Dentry, target: Process) -> None:
        """Files of a process nobody may look into are root's."""
        uid, gid = (target.credentials.uid[1], target.credentials.gid[1]) if target.dumpable else (0, 0)
        for child in entry.node.children.values():
            if child.name not in {"attr", "fdinfo", "net", "task"}:
                child.node.uid, child.node.gid = uid, gid

    def _fill(self, here: Dentry, target: Process) -> None:
        look = _looking(target)
        for name, mode, read, guarded in _FILES:
            node = virtual(here, name, lambda _p, _read=read: _read(self._world, target), mode)  # type: ignore[misc]
            if guarded:
                node.opened = look
        here.node.children["mem"].node.special = "mem"
        here.node.children["mem"].node.pipe = target
        here.node.children["pagemap"].node.special = "pagemap"
        for name in ("stack", "syscall"):
            reader = here.node.children[name].node.read
            here.node.children[name].node.read = _reading(target, name, reader)
        for name, number in (("mountinfo", 0), ("mounts", 1)):
            node = virtual(here, name, lambda _p, _n=number: self._world.mount_list(target, _n))  # type: ignore[misc]
        score = here.node.children["oom_score_adj"].node
        score.read = lambda _p: f"{target.oom_score}\n".encode()
        score.write = lambda p, data: _score(p, target, int(data))
        here.node.children["loginuid"].node.write = lambda p, _data: p.need("AUDIT_CONTROL")
        for name, place in (("root", lambda: target.root), ("cwd", lambda: target.cwd)):
            node = link(here, name, "")
            node.read = lambda p, _look=look, _place=place: _linked(p, _look, self._world.path_in(target, _place()))
            node.jump = lambda p, _look=look, _place=place: _jumped(p, _look, _place)
        exe = link(here, "exe", "")
        exe.read = lambda p: _linked(p, look, target.executable)
        self._descriptors(here, target, look)
        self._namespaces(here, target, look)
        tasks = folder(here, "task", 0o555)
        tasks.node.names = lambda _p: [str(target.pid)]
        tasks.node.find = lambda _p, name: here if name == str(target.pid) else None
        for name in ("attr", "net", "map_files"):
            folder(here, name, 0o555)
        virtual(here.node.children["net"], "dev", lambda _p: _cards(self._world, target))

    def _descriptors(self, here: Dentry, target: Process, look: Callable[[Process, int], None]) -> None:
        for name in ("fd", "fdinfo"):
            numbers = folder(here, name, 0o500 if name == "fd" else 0o555)
            numbers.node.permitted = look
            numbers.node.names = lambda _p: [str(one) for one in sorted(target.files)]
            numbers.node.find = lambda _p, number, _n=numbers: self._descriptor(_n, target, number)

    def _descriptor(self, numbers: Dentry, target: Process, number: str) -> Dentry | None:
        entry = target.files.get(int(number)) if number.isdecimal() else None
        if entry is None:
            return None
        opened = entry[0]
        node = Node(self.system, stat.S_IFLNK | 0o500, target.credentials.uid[1], target.credentials.gid[1])
        shown = self._world.path_in(target, opened.place) if opened.place else f"{opened.kind}:[{opened.node.number}]"
        node.read = lambda _p: shown.encode()

        def leads(_process: Process) -> Any:
            if opened.place is not None:
                return opened.place.mount, opened.place.dentry
            return self._world.memory_mount, Dentry(shown, None, opened.node)

        node.jump = leads
        return Dentry(number, numbers, node)

    def _namespaces(self, here: Dentry, target: Process, look: Callable[[Process, int], None]) -> None:
        names = folder(here, "ns", 0o511)
        for name in ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"):
            node = link(names, name, "")
            node.read = lambda p, _name=name: _linked(
                p, look, f"{_name}:[{4026531840 + getattr(target.namespaces, _name)}]"
            )
            file = Node(self._world.namespaces, stat.S_IFREG | 0o444)
            node.jump = lambda p, _file=file: _jumped(p, look, lambda: _place(self._world.memory_mount, _file))


def _place(mount: Any, node: Node) -> Any:
    from executor.sim.files.mounts import Place  # noqa: PLC0415 - one small use

    return Place(mount, Dentry("", None, node))


def _looking(target: Process) -> Callable[[Process, int], None]:
    def look(process: Process, _flags: int) -> None:
        if not may_look(process, target):
            raise error(errno.EACCES)

    return look


def _reading(target: Process, name: str, inner: Callable[[Process], bytes] | None) -> Callable[[Process], bytes]:
    def read(process: Process) -> bytes:
        if name == "stack" and not process.has("SYS_ADMIN"):
            raise error(errno.EACCES)
        if not may_look(process, target):
            raise error(errno.EACCES)
        return inner(process) if inner else b""

    return read


def _linked(process: Process, look: Callable[[Process, int], None], text: str) -> bytes:
    look(process, 0)
    return text.encode()


def _jumped(process: Process, look: Callable[[Process, int], None], place: Callable[[], Any]) -> Any:
    look(process, 0)
    where = place()
    return where.mount, where.dentry


def _score(process: Process, target: Process, value: int) -> None:
    if value < target.oom_score:
        process.need("SYS_RESOURCE", errno.EACCES)
    target.oom_score = value


def _status(world: World, target: Process) -> bytes:
    who = target.credentials
    sets = (("Inh", who.inheritable), ("Prm", who.permitted), ("Eff", who.effective), ("Bnd", who.bounding))
    rows = [
        f"Name:\t{comm(target)}", f"Umask:\t{target.umask:04o}", "State:\tS (sleeping)", f"Tgid:\t{target.pid}",
        f"Pid:\t{target.pid}", f"PPid:\t{target.parent.pid if target.parent else 0}", "TracerPid:\t0",
        f"Uid:\t{who.uid[0]}\t{who.uid[1]}\t{who.uid[2]}\t{who.fsuid}",
        f"Gid:\t{who.gid[0]}\t{who.gid[1]}\t{who.gid[2]}\t{who.gid[1]}",
        f"Groups:\t{' '.join(map(str, who.groups))} ", "VmPeak:\t   13992 kB", "VmRSS:\t    8280 kB", "Threads:\t1",
        *(f"Cap{name}:\t{value:016x}" for name, value in sets), f"CapAmb:\t{who.ambient:016x}",
        f"NoNewPrivs:\t{int(who.no_new_privs)}", f"Seccomp:\t{2 if target.filter else 0}",
        f"Seccomp_filters:\t{1 if target.filter else 0}",
    ]  # fmt: skip
    return ("\n".join(rows) + "\n").encode()


def _cards(world: World, target: Process) -> bytes:
    """/proc/net/dev."""
    rows = ["Inter-|   Receive", " face |bytes"]
    return "".join(f"{row}\n" for row in (*rows, *(f"{one:>6}: 0 0" for one in world.interfaces(target)))).encode()


def _state(target: Process) -> str:
    """One letter for what a process is doing."""
    return "Z" if not target.alive else "T" if target.stopped else "S"


def comm(target: Process) -> str:
    """The short name of a process."""
    name = target.argv[0].rpartition("/")[2] if target.program.startswith("python") and target.argv else target.program
    return name[:15]


def _limits(_world: World, target: Process) -> bytes:
    rows = [f"limit {number} {soft} {hard}" for number, (soft, hard) in sorted(target.limits.items())]
    return ("\n".join(rows) + "\n").encode()


_MAPS: Final = (
    b"00400000-00401000 r-xp 00000000 fe:01 100 /usr/bin/program\n7ffd0000-7ffd1000 rw-p 00000000 00:00 0 [stack]\n"
)
_FILES: Final[tuple[tuple[str, int, Callable[[Any, Process], bytes], bool], ...]] = (
    ("status", 0o444, _status, False),
    ("comm", 0o644, lambda _w, t: f"{comm(t)}\n".encode(), False),
    ("cmdline", 0o444, lambda _w, t: "\0".join([*t.argv, ""]).encode(), False),
    (
        "stat",
        0o444,
        lambda _w, t: f"{t.pid} ({comm(t)}) {_state(t)} {t.parent.pid if t.parent else 0} {t.group}\n".encode(),
        False,
    ),
    ("statm", 0o444, lambda _w, _t: b"3498 2070 1367 688 0 1237 0\n", False),
    ("limits", 0o444, _limits, False),
    ("cgroup", 0o444, lambda w, t: w.cgroup_of(t), False),
    ("cpuset", 0o444, lambda _w, _t: b"/\n", False),
    ("wchan", 0o444, lambda _w, _t: b"0", False),
    ("io", 0o400, lambda _w, _t: b"rchar: 0\n", True),
    ("maps", 0o444, lambda _w, _t: _MAPS, True),
    ("smaps", 0o444, lambda _w, _t: _MAPS, True),
    ("mem", 0o600, lambda _w, _t: b"", True),
    ("environ", 0o400, lambda _w, t: b"".join(f"{n}={v}\0".encode() for n, v in t.environment.items()), True),
    ("auxv", 0o400, lambda _w, _t: b"\x21" + bytes(15), True),
    ("stack", 0o400, lambda _w, _t: b"[<0>] do_wait+0x1\n", False),
    ("syscall", 0o400, lambda _w, _t: b"running\n", False),
    ("pagemap", 0o400, lambda _w, _t: b"", True),
    ("personality", 0o400, lambda _w, t: f"{t.personality:08x}\n".encode(), True),
    ("oom_score_adj", 0o644, lambda _w, _t: b"0\n", False),
    ("oom_score", 0o444, lambda _w, _t: b"666\n", False),
    ("loginuid", 0o644, lambda _w, _t: b"4294967295", False),
    ("sessionid", 0o444, lambda _w, _t: b"4294967295", False),
    ("uid_map", 0o644, lambda _w, _t: b"         0          0 4294967295\n", False),
    ("gid_map", 0o644, lambda _w, _t: b"         0          0 4294967295\n", False),
    ("setgroups", 0o644, lambda _w, _t: b"allow\n", False),
    ("timerslack_ns", 0o666, lambda _w, _t: b"50000\n", False),
)
"""Name, mode, content, and whether opening it asks for the right to look into the process."""
