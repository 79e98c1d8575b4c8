"""Processes in `posix` over the model: fork, exec, wait, scheduling."""

import posix as real

from models.folders import text
from shim import Unmodelled, call, fork, named


def add(m, put):
    """Put the functions into the module that is made."""

    @put
    def setgroups(groups):
        call("setgroups", list(groups))

    @put
    def sched_setscheduler(pid, policy, param):
        call("sched_setscheduler", pid, policy, param.sched_priority)

    @put
    def sched_setparam(pid, param):
        call("sched_setscheduler", pid, 0, param.sched_priority)

    @put
    def sched_getaffinity(pid):
        return set(range(call("cpus")))

    @put
    def sched_setaffinity(pid, cpus):
        call("sched_setaffinity", pid, list(cpus))

    put(fork)

    @put
    def register_at_fork(**_hooks):
        pass

    @put
    def forkpty():
        raise Unmodelled("forkpty")

    def leave(code):
        call("exit", code & 0xFF)
        real._exit(0)

    m._exit = leave

    @put
    def abort():
        call("die", 6)

    @put
    def waitpid(pid, options):
        return tuple(call("waitpid", pid, options))

    @put
    def wait():
        return tuple(call("waitpid", -1, 0))

    @put
    def wait3(options):
        return (*call("waitpid", -1, options), None)

    @put
    def wait4(pid, options):
        return (*call("waitpid", pid, options), None)

    @put
    def waitid(kind, number, options):
        raw = call("waitid", kind, number, options)
        return None if raw is None else real.waitid_result(raw)

    def environment_of(env):
        items = env.items() if hasattr(env, "items") else env
        return [[text(name), text(value)] for name, value in items]

    def execve(path, argv, env):
        if isinstance(path, int):
            return call("fexecve", path, [text(a) for a in argv], environment_of(env))
        return named("execve", path, text(path), [text(a) for a in argv], environment_of(env))

    put(execve)
    put(lambda path, argv: execve(path, argv, m.environ), "execv")

    @put
    def posix_spawn(path, argv, env, *, file_actions=(), setpgroup=None, resetids=False, setsid=False,
                    setsigmask=(), setsigdef=(), scheduler=None):  # fmt: skip
        pid = fork()
        if pid:
            return pid
        try:
            if setsid:
                m.setsid()
            for action in file_actions:
                if action[0] == m.POSIX_SPAWN_DUP2:
                    m.dup2(action[1], action[2])
                elif action[0] == m.POSIX_SPAWN_CLOSE:
                    m.close(action[1])
                else:
                    handle = m.open(*action[2:])
                    m.dup2(handle, action[1])
            execve(path, argv, env)
        except OSError:
            leave(127)

    @put
    def system(command):
        pid = fork()
        if pid == 0:
            try:
                execve("/bin/sh", ["sh", "-c", command], m.environ)
            except OSError:
                leave(127)
        return waitpid(pid, 0)[1]
