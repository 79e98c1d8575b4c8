"""Calls on processes: fork, exec, wait, signals, identity, limits, time."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls import Memory, Raw, call, raw
from executor.sim.mounts import NOEXEC, NOSUID, Place
from executor.sim.nodes import error
from executor.sim.process import (
    EVERY,
    EXECUTE,
    READ,
    SEARCH,
    Credentials,
    Process,
    UnmodelledError,
    WaitError,
)

if TYPE_CHECKING:
    from executor.sim.kernel import Kernel

ELF: Final = b"\x7fELFcordon-sim:"
"""In front of a program's name: what the image's programs consist of here, so that a copy is the same program."""
SHEBANGS: Final = 5
NOFILE: Final = 7
SIGPENDING: Final = 11
REAL_TIME: Final = 32
"""The first signal that is queued as often as it is sent."""


@call("fork", "clone", lambda *_: (17,))
def fork(k: Kernel, p: Process) -> int:
    """fork: the puppet splits once it is told that it may."""
    if k.pids_limit and k.counted() >= k.pids_limit:
        k.forks_refused += 1
        raise error(errno.EAGAIN)
    return k.split(p)


@call("execve", "execve")
def execve(k: Kernel, p: Process, path: str, argv: list[str], environment: list[list[str]]) -> None:
    """execve."""
    place = p.find(path)
    _execute(k, p, place, path, argv, environment)


@call("fexecve", "execve")
def fexecve(k: Kernel, p: Process, number: int, argv: list[str], environment: list[list[str]]) -> None:
    """execve by way of /proc, as the C library does it."""
    opened = p.file(number)
    if opened.place is None:
        raise error(errno.EACCES)
    _execute(k, p, opened.place, f"/proc/self/fd/{number}", argv, environment)


def _execute(k: Kernel, p: Process, place: Place, path: str, argv: list[str], environment: list[list[str]]) -> None:
    from executor.sim.kernel import EndedError  # noqa: PLC0415 - the kernel imports the calls

    program, argv = runnable(p, place, path, argv, SHEBANGS)
    p.argv, p.environment = tuple(argv), {one[0]: one[1] for one in environment}
    p.executable = p.path_of(place)
    become(p, place)
    p.caught.clear()
    p.dumpable = True
    for number in [one for one, (_, close) in p.files.items() if close]:
        p.drop(number)
    k.start_puppet(p, program)
    raise EndedError


def become(p: Process, place: Place) -> None:
    """Who it is after execve: somebody else by a set-user-id file, where mount and no_new_privs let it."""
    node, who = place.dentry.node, p.credentials
    if node.mode & (stat.S_ISUID | stat.S_ISGID) and not place.mount.flags & NOSUID and not who.no_new_privs:
        if node.mode & stat.S_ISUID:
            who = replace(who, uid=(who.uid[0], node.uid, node.uid))
        if node.mode & stat.S_ISGID and node.mode & 0o010:
            who = replace(who, gid=(who.gid[0], node.gid, node.gid))
    p.credentials = who.executed()


@call("load")
def load(k: Kernel, p: Process, path: str, argv: list[str]) -> None:
    """What the loader does with a program it is told: open, read, map as code, and be it from then on."""
    from executor.sim.kernel import EndedError  # noqa: PLC0415 - the kernel imports the calls

    for name, arguments in (("openat", (0, 0, 0)), ("mmap", (0, 4096, 5, 2))):
        k.pass_filter(p, name, arguments)
    place = p.find(path)
    node = place.dentry.node
    if node.kind != stat.S_IFREG:
        raise error(errno.EACCES)
    p.check(place, READ)
    if place.mount.flags & NOEXEC:
        raise error(errno.EPERM)
    head = bytes(node.data[:256])
    if not head.startswith(ELF):
        raise UnmodelledError("the loader on what is no program of the image")
    name = bytes(node.data[len(ELF) :]).decode()
    if name not in MODELLED:
        raise UnmodelledError(f"the program {name}")
    p.argv = tuple(argv)
    k.start_puppet(p, name)
    raise EndedError


def runnable(p: Process, place: Place, path: str, argv: list[str], depth: int) -> tuple[str, list[str]]:
    """The program behind a file and its arguments; raises what execve answers."""
    node = place.dentry.node
    if node.kind != stat.S_IFREG:
        raise error(errno.EACCES)
    if place.mount.flags & NOEXEC or not p.permits(node, SEARCH):
        raise error(errno.EACCES)
    p.check_landlock(place, EXECUTE)
    head = bytes(node.data[:256])
    if head.startswith(ELF):
        name = bytes(node.data[len(ELF) :]).decode()
        loader = p.find("/lib64/ld-linux-x86-64.so.2")  # opened by the kernel, so it has to be executable too
        p.check_landlock(loader, EXECUTE)
        if name not in MODELLED:
            raise UnmodelledError(f"the program {name}")
        return name, argv or [path]
    if head.startswith(b"#!"):
        if depth == 0:
            raise error(errno.ELOOP)
        words = head.split(b"\n", 1)[0][2:].decode(errors="replace").strip().split(None, 1)
        if not words:
            raise error(errno.ENOEXEC)
        return runnable(p, p.find(words[0]), words[0], [*words, path, *argv[1:]], depth - 1)
    if head.startswith(b"\x7fELF"):
        raise UnmodelledError("a compiled program")
    raise error(errno.ENOEXEC)


MODELLED: Final[set[str]] = set()
"""Names of programs the puppet has; filled by world.py from the puppet's own tables."""


@raw("execveat")
def execveat(k: Kernel, p: Process, a: list[Any]) -> None:
    """execveat of an open file without a path."""
    name = a[1].text if isinstance(a[1], Memory) else ""
    if name or not a[4] & 0x1000:
        raise UnmodelledError("execveat with a path")
    opened = p.file(a[0])
    if opened.place is None:
        raise error(errno.EACCES)
    _execute(k, p, opened.place, f"/dev/fd/{a[0]}", ["true"], [])


@call("exit", "exit_group")
def exit_(k: Kernel, p: Process, code: int) -> None:
    """The end."""
    from executor.sim.kernel import EndedError, exit_status  # noqa: PLC0415 - the kernel imports the calls

    k.end(p, exit_status(code))
    raise EndedError


@call("die")
def die(k: Kernel, p: Process, number: int) -> None:
    """Ended by a signal of its own doing."""
    from executor.sim.kernel import EndedError  # noqa: PLC0415 - as above

    k.end(p, number)
    raise EndedError


@call("waitpid", "wait4")
def waitpid(k: Kernel, p: Process, pid: int, options: int) -> list[int]:
    """wait, waitpid, wait3, wait4."""
    children = [
        one for one in p.children
        if pid in {-1, one.pid} or (pid == 0 and one.group == p.group) or (pid < -1 and one.group == -pid)
    ]  # fmt: skip
    if not children:
        raise error(errno.ECHILD)
    for child in children:
        if child.status is not None:
            found = [child.pid, child.status]
            k.forget(child)
            return found
    if options & os.WNOHANG:
        return [0, 0]
    raise WaitError


@call("waitid", "waitid")
def waitid(k: Kernel, p: Process, kind: int, number: int, options: int) -> list[int] | None:
    """waitid for a child, by id or descriptor."""
    if kind == os.P_PIDFD:
        number = p.file(number).extra.pid
    pid = -1 if kind == os.P_ALL else number
    children = [one for one in p.children if pid in {-1, one.pid}]
    if not children:
        raise error(errno.ECHILD)
    for child in children:
        if child.status is not None:
            status = child.status
            if not options & os.WNOWAIT:
                k.forget(child)
            code = os.CLD_EXITED if os.WIFEXITED(status) else os.CLD_KILLED
            return [child.pid, 1000, 17, os.WEXITSTATUS(status) if os.WIFEXITED(status) else os.WTERMSIG(status), code]
    if options & os.WNOHANG:
        return None
    raise WaitError


def _may_signal(p: Process, other: Process) -> bool:
    who, them = p.credentials, other.credentials
    return p.has("KILL") or bool({who.uid[0], who.uid[1]} & {them.uid[0], them.uid[2]})


@call("kill", "kill")
def kill(k: Kernel, p: Process, pid: int, number: int) -> None:
    """kill."""
    if pid > 0:
        targets = [one for one in k.processes.values() if one.pid == pid]
    elif pid == 0:
        targets = k.spread(number, group=p.group)
    elif pid == -1:
        targets = [one for one in k.processes.values() if one.pid != 1 and one is not p]
    else:
        targets = k.spread(number, group=-pid)
    _send(k, p, targets, number)


def _send(k: Kernel, p: Process, targets: list[Process], number: int) -> None:
    from executor.sim.kernel import EndedError  # noqa: PLC0415 - the kernel imports the calls

    if not 0 <= number <= 64:
        raise error(errno.EINVAL)
    if not targets:
        raise error(errno.ESRCH)
    allowed = [one for one in targets if _may_signal(p, one)]
    if not allowed:
        raise error(errno.EPERM)
    for one in sorted(allowed, key=lambda other: other is p):
        k.signal(one, number)
    if not p.alive:
        raise EndedError


@call("killpg", "kill")
def killpg(k: Kernel, p: Process, group: int, number: int) -> None:
    """killpg."""
    _send(k, p, k.spread(number, group=group or p.group), number)


@raw("tgkill")
def tgkill(k: Kernel, p: Process, a: list[Any]) -> None:
    """A signal to one thread: processes of one thread here."""
    _send(k, p, [one for one in k.processes.values() if one.pid == a[0] == a[1]], a[2])


@raw("tkill")
def tkill(k: Kernel, p: Process, a: list[Any]) -> None:
    """The same without its group."""
    _send(k, p, [one for one in k.processes.values() if one.pid == a[0]], a[1])


@raw("rt_sigqueueinfo")
def rt_sigqueueinfo(k: Kernel, p: Process, a: list[Any]) -> None:
    """A signal with a payload: queued ones count against RLIMIT_SIGPENDING."""
    targets = [one for one in k.processes.values() if one.pid == a[0]]
    code = int.from_bytes(a[2].data[8:12], "little", signed=True) if isinstance(a[2], Memory) else 0
    if code >= 0 and targets and targets[0] is not p:
        raise error(errno.EPERM)
    if targets and a[1] >= REAL_TIME and len(targets[0].queued) >= p.limit(SIGPENDING):
        raise error(errno.EAGAIN)
    _send(k, p, targets, a[1])


@call("sigmask", "rt_sigprocmask")
def sigmask(k: Kernel, p: Process, how: int, numbers: list[int]) -> list[int]:
    """Block, unblock or set; what it was."""
    before = sorted(p.masked)
    wanted = set(numbers) - {9, 19}
    p.masked = p.masked | wanted if how == 0 else p.masked - wanted if how == 1 else wanted
    freed = [one for one in p.queued if one not in p.masked]
    p.queued = [one for one in p.queued if one in p.masked]
    for number in freed:
        k.signal(p, number)
    if not p.alive:
        from executor.sim.kernel import EndedError  # noqa: PLC0415 - the kernel imports the calls

        raise EndedError
    return before


@call("sigtimedwait", "rt_sigtimedwait")
def sigtimedwait(k: Kernel, p: Process, numbers: list[int], wait_ns: float) -> int:
    """The next of some masked signals."""
    for number in p.queued:
        if number in numbers:
            p.queued.remove(number)
            p.wake_ns = 0
            return number
    now = k.clock.monotonic_ns()
    if wait_ns >= 0:
        p.wake_ns = p.wake_ns or now + round(wait_ns)
        if now >= p.wake_ns:
            p.wake_ns = 0
            raise error(errno.EAGAIN)
    raise WaitError(p.wake_ns or None)


@call("sigpending", "rt_sigpending")
def sigpending(k: Kernel, p: Process) -> list[int]:
    """Masked ones that have come."""
    return sorted(set(p.queued))


@raw("kill")
def raw_kill(k: Kernel, p: Process, a: list[Any]) -> None:
    """kill by number."""
    kill(k, p, a[0], a[1])


@call("pidfd_open", "pidfd_open")
def pidfd_open(k: Kernel, p: Process, pid: int, *_flags: int) -> int:
    """A descriptor of a process."""
    found = k.processes.get(pid)
    if found is None:
        raise error(errno.ESRCH)
    opened = k.world.anonymous("pidfd")
    opened.extra = found
    return p.install(opened)


@raw("pidfd_open")
def raw_pidfd_open(k: Kernel, p: Process, a: list[Any]) -> int:
    """pidfd_open by number."""
    return pidfd_open(k, p, a[0])


@raw("pidfd_send_signal")
def raw_pidfd_send_signal(k: Kernel, p: Process, a: list[Any]) -> None:
    """pidfd_send_signal by number."""
    pidfd_send_signal(k, p, a[0], a[1])


@call("pidfd_send_signal", "pidfd_send_signal")
def pidfd_send_signal(k: Kernel, p: Process, number: int, sent: int) -> None:
    """kill by descriptor."""
    opened = p.file(number)
    if opened.kind != "pidfd":
        raise error(errno.EBADF)
    if not opened.extra.alive:
        raise error(errno.ESRCH)
    _send(k, p, [opened.extra], sent)


@call("sigaction", "rt_sigaction")
def sigaction(k: Kernel, p: Process, number: int, what: int) -> None:
    """0 default, 1 ignored, 2 caught."""
    if number in {9, 19}:
        raise error(errno.EINVAL)
    p.caught.discard(number)
    p.ignored.discard(number)
    if what == 1:
        p.ignored.add(number)
    elif what == 2:
        p.caught.add(number)


@call("pause", "pause")
@raw("pause")
def pause(k: Kernel, p: Process, *_arguments: Any) -> None:
    """Until a signal."""
    raise WaitError


@call("sleep", "clock_nanosleep")
def sleep(k: Kernel, p: Process, duration_ns: int) -> None:
    """Until the clock has gone on by `duration_ns`."""
    now = k.clock.monotonic_ns()
    p.wake_ns = p.wake_ns or now + duration_ns
    if now < p.wake_ns:
        raise WaitError(p.wake_ns)
    p.wake_ns = 0


@call("alarm", "setitimer")
def alarm(k: Kernel, p: Process, duration_ns: int) -> int:
    """A SIGALRM later."""
    now = k.clock.monotonic_ns()
    left = max(0, p.alarm_ns - now) if p.alarm_ns else 0
    p.alarm_ns = now + duration_ns if duration_ns else 0
    return left


@call("clock", "")
def clock(k: Kernel, p: Process, which: int) -> int:
    """A clock's time; reading it is no system call."""
    if which in {2, 3}:
        return p.cpu_ns
    if which in {0, 5, 11, 8}:
        return k.clock.now_ns()
    return k.clock.monotonic_ns() - k.world.booted_ns


@call("times", "times")
def times(k: Kernel, p: Process) -> list[float]:
    """Processor times."""
    used = p.cpu_ns / 1e9
    return [used, 0.0, 0.0, 0.0, (k.clock.monotonic_ns() - k.world.booted_ns) / 1e9]


@call("getrusage", "getrusage")
def getrusage(k: Kernel, p: Process, _who: int) -> list[float]:
    """What it has used."""
    return [p.cpu_ns / 1e9, 0.0, 9000, *([0] * 13)]


@call("cpus", "sched_getaffinity")
def cpus(k: Kernel, p: Process) -> int:
    """Processors of the machine."""
    return 1


@call("uname", "uname")
def uname(k: Kernel, p: Process) -> list[str]:
    """uname."""
    return ["Linux", k.world.hostname(p), k.world.release, "#1 SMP PREEMPT_DYNAMIC", "x86_64"]


@call("getpid", "getpid")
def getpid(k: Kernel, p: Process) -> int:
    """Its id."""
    return p.pid


@call("getppid", "getppid")
def getppid(k: Kernel, p: Process) -> int:
    """Its parent's."""
    return p.parent.pid if p.parent else 0


for _name, _value in (
    ("getuid", lambda c: c.uid[0]),
    ("geteuid", lambda c: c.uid[1]),
    ("getgid", lambda c: c.gid[0]),
    ("getegid", lambda c: c.gid[1]),
    ("getgroups", lambda c: list(c.groups)),
    ("getresuid", lambda c: list(c.uid)),
    ("getresgid", lambda c: list(c.gid)),
):
    call(_name, _name)(lambda _k, p, _value=_value: _value(p.credentials))
for _number, _read in (
    ("getpid", lambda p: p.pid),
    ("getppid", lambda p: p.parent.pid if p.parent else 0),
    ("getuid", lambda p: p.credentials.uid[0]),
    ("geteuid", lambda p: p.credentials.uid[1]),
    ("gettid", lambda p: p.pid),
):
    raw(_number)(lambda _k, p, _a, _read=_read: _read(p))


def _ids(p: Process, name: str, wanted: list[int], capability: str) -> tuple[int, int, int]:
    """New real, effective and saved ids; -1 keeps one."""
    now: tuple[int, int, int] = getattr(p.credentials, name)
    made = [before if asked in {-1, 0xFFFFFFFF} else asked for before, asked in zip(now, wanted, strict=True)]
    if not p.has(capability) and any(one not in now for one in made):
        raise error(errno.EPERM)
    return made[0], made[1], made[2]


def _set_uid(p: Process, wanted: list[int]) -> None:
    uid = _ids(p, "uid", wanted, "SETUID")
    was_root, is_root = 0 in p.credentials.uid, 0 in uid
    who = replace(p.credentials, uid=uid, fsuid=uid[1])
    if was_root and not is_root:
        who = replace(who, effective=0, permitted=0, ambient=0)
    elif who.uid[1] == 0 and p.credentials.uid[1] != 0:
        who = replace(who, effective=who.permitted)
    p.credentials = who


@call("setresuid", "setresuid")
def setresuid(k: Kernel, p: Process, real: int, effective: int, saved: int) -> None:
    """setresuid."""
    _set_uid(p, [real, effective, saved])


@call("setreuid", "setreuid")
def setreuid(k: Kernel, p: Process, real: int, effective: int) -> None:
    """setreuid."""
    _set_uid(p, [real, effective, -1])


@call("setuid", "setuid")
def setuid(k: Kernel, p: Process, uid: int) -> None:
    """setuid: all three for who may, else the effective one."""
    _set_uid(p, [uid, uid, uid] if p.has("SETUID") else [-1, uid, -1])


@raw("setuid")
def raw_setuid(k: Kernel, p: Process, a: list[Any]) -> None:
    """setuid by number."""
    setuid(k, p, a[0])


@call("seteuid", "setresuid")
def seteuid(k: Kernel, p: Process, uid: int) -> None:
    """seteuid."""
    _set_uid(p, [-1, uid, -1])


def _set_gid(p: Process, wanted: list[int]) -> None:
    p.credentials = replace(p.credentials, gid=_ids(p, "gid", wanted, "SETGID"))


@call("setresgid", "setresgid")
def setresgid(k: Kernel, p: Process, real: int, effective: int, saved: int) -> None:
    """setresgid."""
    _set_gid(p, [real, effective, saved])


@call("setregid", "setregid")
def setregid(k: Kernel, p: Process, real: int, effective: int) -> None:
    """setregid."""
    _set_gid(p, [real, effective, -1])


@call("setgid", "setgid")
def setgid(k: Kernel, p: Process, gid: int) -> None:
    """setgid."""
    _set_gid(p, [gid, gid, gid] if p.has("SETGID") else [-1, gid, -1])


@raw("setgid")
def raw_setgid(k: Kernel, p: Process, a: list[Any]) -> None:
    """setgid by number."""
    setgid(k, p, a[0])


@call("setegid", "setresgid")
def setegid(k: Kernel, p: Process, gid: int) -> None:
    """setegid."""
    _set_gid(p, [-1, gid, -1])


@call("setgroups", "setgroups")
def setgroups(k: Kernel, p: Process, groups: list[int]) -> None:
    """setgroups."""
    p.need("SETGID")
    p.credentials = replace(p.credentials, groups=tuple(groups))


@raw("setfsuid")
def setfsuid(k: Kernel, p: Process, a: list[Any]) -> int:
    """Never fails; returns who it was."""
    before, wanted = p.credentials.fsuid, a[0]
    if wanted in p.credentials.uid or wanted == before or p.has("SETUID"):
        p.credentials = replace(p.credentials, fsuid=wanted)
    return before


@raw("capset")
def capset(k: Kernel, p: Process, a: list[Any]) -> None:
    """Capabilities taken up or put down: nothing that is not permitted."""
    words = [int.from_bytes(a[1].data[at : at + 4], "little") for at in range(0, 24, 4)]
    effective, permitted, inheritable = (words[at] | words[at + 3] << 32 for at in range(3))
    effective, permitted = effective & EVERY, permitted & EVERY
    who = p.credentials
    if permitted & ~who.permitted or effective & ~permitted:
        raise error(errno.EPERM)
    if inheritable & ~(who.inheritable | who.permitted) and not p.has("SETPCAP"):
        raise error(errno.EPERM)
    p.credentials = replace(
        who, effective=effective, permitted=permitted, inheritable=inheritable, ambient=who.ambient & permitted
    )


PRCTL: Final = {1: "death", 2: "ask", 3: "ask", 4: "dumpable", 15: "name", 16: "ask", 36: "subreaper"}


@raw("prctl")
def prctl(k: Kernel, p: Process, a: list[Any]) -> int:
    """The options probes use."""
    option, who = a[0], p.credentials
    if option == 39:
        return int(who.no_new_privs)
    if option == 38:
        if a[1] != 1 or a[2] or a[3] or a[4]:
            raise error(errno.EINVAL)
        p.credentials = replace(who, no_new_privs=True)
    elif option == 28:
        p.need("SETPCAP")
        p.credentials = replace(who, securebits=a[1])
    elif option == 27:
        return who.securebits
    elif option == 24:
        p.need("SETPCAP")
        p.credentials = replace(who, bounding=who.bounding & ~(1 << a[1]))
    elif option == 23:
        return int(who.bounding >> a[1] & 1)
    elif option == 47:
        return _ambient(p, a)
    elif option == 4:
        p.dumpable = bool(a[1])
    elif option == 3:
        return int(p.dumpable)
    elif option == 22:
        _own_filter(k, p, a)
    elif option == 1:
        p.death_signal = a[1]
    elif option not in {15, 36, 0x59616D61}:
        raise UnmodelledError(f"prctl {option}")
    return 0


ALLOW_ALL: Final = bytes.fromhex("06000000 0000ff7f")
"""The program of a seccomp filter that allows everything: one instruction, return SECCOMP_RET_ALLOW."""


def _own_filter(k: Kernel, p: Process, a: list[Any]) -> None:
    """PR_SET_SECCOMP: whoever gains nothing by it may add a filter. Only one that changes nothing is modelled."""
    if a[1] != 2 or not isinstance(a[2], Memory):
        raise UnmodelledError("seccomp's strict mode")
    if not p.credentials.no_new_privs:
        p.need("SYS_ADMIN", errno.EACCES)
    count, where = int.from_bytes(a[2].data[:2], "little"), int.from_bytes(a[2].data[8:16], "little")
    if count != 1 or k.memory(p, where, len(ALLOW_ALL)) != ALLOW_ALL:
        raise UnmodelledError("a seccomp filter of the task's own")


def _ambient(p: Process, a: list[Any]) -> int:
    who, bit = p.credentials, 1 << a[2] if a[1] != 4 else 0
    if a[1] == 1:
        return int(bool(who.ambient & bit))
    if a[1] == 2:
        if not who.permitted & bit or not who.inheritable & bit:
            raise error(errno.EPERM)
        p.credentials = replace(who, ambient=who.ambient | bit)
    elif a[1] == 3:
        p.credentials = replace(who, ambient=who.ambient & ~bit)
    elif a[1] == 4:
        p.credentials = replace(who, ambient=0)
    return 0


@call("setsid", "setsid")
def setsid(k: Kernel, p: Process) -> None:
    """A session and group of its own."""
    if p.group == p.pid:
        raise error(errno.EPERM)
    p.group = p.session = p.pid


@call("setpgid", "setpgid")
def setpgid(k: Kernel, p: Process, pid: int, group: int) -> None:
    """setpgid."""
    found = p if pid in {0, p.pid} else next((one for one in p.children if one.pid == pid), None)
    if found is None:
        raise error(errno.ESRCH)
    found.group = group or found.pid


@call("setpgrp", "setpgid")
def setpgrp(k: Kernel, p: Process) -> None:
    """setpgrp."""
    p.group = p.pid


@call("getpgid", "getpgid")
def getpgid(k: Kernel, p: Process, pid: int) -> int:
    """getpgid."""
    return _named(k, p, pid).group


@call("getpgrp", "getpgrp")
def getpgrp(k: Kernel, p: Process) -> int:
    """getpgrp."""
    return p.group


@call("getsid", "getsid")
def getsid(k: Kernel, p: Process, pid: int) -> int:
    """getsid."""
    return _named(k, p, pid).session


def _named(k: Kernel, p: Process, pid: int) -> Process:
    found = p if pid == 0 else k.processes.get(pid)
    if found is None:
        raise error(errno.ESRCH)
    return found


@call("getpriority", "getpriority")
def getpriority(k: Kernel, p: Process, _which: int, who: int) -> int:
    """getpriority."""
    return _named(k, p, who).nice


@call("setpriority", "setpriority")
def setpriority(k: Kernel, p: Process, _which: int, who: int, value: int) -> None:
    """setpriority: better only by CAP_SYS_NICE."""
    found = _named(k, p, who)
    if value < found.nice:
        p.need("SYS_NICE", errno.EACCES)
    them = found.credentials
    if p.credentials.uid[1] not in {them.uid[0], them.uid[1]}:
        p.need("SYS_NICE")
    found.nice = max(-20, min(19, value))


@raw("setpriority")
def raw_setpriority(k: Kernel, p: Process, a: list[Any]) -> None:
    """setpriority by number."""
    setpriority(k, p, a[0], a[1], a[2] - (1 << 64) if a[2] >= 1 << 63 else a[2])


@call("nice", "setpriority")
def nice(k: Kernel, p: Process, step: int) -> int:
    """nice."""
    if step < 0:
        p.need("SYS_NICE")
    p.nice = max(-20, min(19, p.nice + step))
    return p.nice


@call("sched_setscheduler", "sched_setscheduler")
def sched_setscheduler(k: Kernel, p: Process, pid: int, policy: int, priority: int) -> None:
    """Real time is for CAP_SYS_NICE."""
    found = _named(k, p, pid)
    if policy & 7 in {1, 2, 6}:
        p.need("SYS_NICE")
    found.policy = policy & 7


@raw("sched_setattr")
def sched_setattr(k: Kernel, p: Process, a: list[Any]) -> None:
    """The same with a deadline."""
    if int.from_bytes(a[1].data[4:8], "little") in {1, 2, 6}:
        p.need("SYS_NICE")


@call("sched_getscheduler", "sched_getscheduler")
def sched_getscheduler(k: Kernel, p: Process, pid: int) -> int:
    """What was set."""
    return _named(k, p, pid).policy


@call("sched_get_priority_max", "sched_get_priority_max")
def sched_get_priority_max(k: Kernel, p: Process, policy: int) -> int:
    """99 for real time."""
    return 99 if policy in {1, 2} else 0


@call("sched_get_priority_min", "sched_get_priority_min")
def sched_get_priority_min(k: Kernel, p: Process, policy: int) -> int:
    """1 for real time."""
    return 1 if policy in {1, 2} else 0


@call("sched_yield", "sched_yield")
def sched_yield(k: Kernel, p: Process) -> None:
    """Everybody else first: the queue sees to that."""


@call("sched_setaffinity", "sched_setaffinity")
def sched_setaffinity(k: Kernel, p: Process, pid: int, wanted: list[int]) -> None:
    """There is one processor."""
    if 0 not in wanted:
        raise error(errno.EINVAL)


@call("limit")
def limit(k: Kernel, p: Process, kind: int) -> int:
    """A soft limit, as sysconf asks for it."""
    return p.limit(kind)


def _shown(value: int) -> int:
    return -1 if value >= 1 << 62 else value


@call("getrlimit", "prlimit64")
def getrlimit(k: Kernel, p: Process, kind: int) -> list[int]:
    """getrlimit."""
    soft, hard = p.limits.get(kind, (1 << 63, 1 << 63))
    return [_shown(soft), _shown(hard)]


@call("setrlimit", "prlimit64")
def setrlimit(k: Kernel, p: Process, kind: int, values: list[int]) -> None:
    """setrlimit: a hard limit only goes down."""
    change_limit(p, p, kind, values)


def change_limit(p: Process, target: Process, kind: int, values: list[int]) -> None:
    """New limits of `target`, asked for by `p`."""
    soft, hard = (1 << 63 if one < 0 or one >= 1 << 62 else one for one in values)
    if soft > hard:
        raise error(errno.EINVAL)
    if hard > target.limits.get(kind, (1 << 63, 1 << 63))[1]:
        p.need("SYS_RESOURCE")
    target.limits[kind] = (soft, hard)


@raw("setrlimit")
def raw_setrlimit(k: Kernel, p: Process, a: list[Any]) -> None:
    """setrlimit by number."""
    change_limit(p, p, a[0], _two(a[1].data))


def _two(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 8], "little") for at in (0, 8)]


@call("prlimit", "prlimit64")
def prlimit(k: Kernel, p: Process, pid: int, kind: int, values: list[int] | None) -> list[int]:
    """prlimit: of another process only with the same ids throughout."""
    target = _named(k, p, pid)
    if target is not p:
        who, them = p.credentials, target.credentials
        same = {who.uid[0]} == set(them.uid) and {who.gid[0]} == set(them.gid)
        if not same:
            p.need("SYS_RESOURCE")
    before = getrlimit(k, target, kind)
    if values:
        change_limit(p, target, kind, values)
    return before


@raw("prlimit64")
def raw_prlimit(k: Kernel, p: Process, a: list[Any]) -> Raw:
    """prlimit by number."""
    before = prlimit(k, p, a[0], a[1], _two(a[2].data) if isinstance(a[2], Memory) else None)
    data = b"".join((one & (1 << 64) - 1).to_bytes(8, "little") for one in before)
    return Raw(0, ((a[3].address, data),) if isinstance(a[3], Memory) and a[3].address else ())


@raw("clone", "fork", "vfork")
def clone(k: Kernel, p: Process, a: list[Any]) -> Raw:
    """clone as fork; new namespaces are for CAP_SYS_ADMIN."""
    from executor.sim.calls_kernel import new_namespaces  # noqa: PLC0415 - its neighbour

    if a[0]:
        new_namespaces(k, p, a[0] & 0x7E020080, child=True)
    return Raw(forked=True)


@call("chroot", "chroot")
def chroot(k: Kernel, p: Process, path: str) -> None:
    """chroot."""
    place = p.find(path)
    if not place.dentry.node.is_dir:
        raise error(errno.ENOTDIR)
    p.check_search(place)
    p.need("SYS_CHROOT")
    p.root = place


@raw("chroot")
def raw_chroot(k: Kernel, p: Process, a: list[Any]) -> None:
    """chroot by number."""
    chroot(k, p, a[0].text)


def may_look(p: Process, other: Process) -> bool:
    """Whether `p` may look into `other` (the ptrace check for reading, by file-system ids)."""
    if p is other or p.has("SYS_PTRACE"):
        return True
    who, them = p.credentials, other.credentials
    same = {who.fsuid} == set(them.uid) and {who.gid[1]} == set(them.gid)
    return same and other.dumpable and not them.permitted & ~who.permitted


def root_credentials() -> Credentials:
    """Who the guest's own processes are."""
    return Credentials(effective=EVERY, permitted=EVERY, bounding=EVERY)
