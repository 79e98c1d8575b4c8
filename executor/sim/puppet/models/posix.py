"""`posix` over the model: the names of the real module, each a message to the kernel model."""

import posix as real
import types

from models import children, files
from models.folders import DirEntry
from shim import Unmodelled, call, finish


def module():
    """The model's posix."""
    m = types.ModuleType("posix")
    for name in dir(real):
        value = getattr(real, name)
        if isinstance(value, int) or name in {"stat_result", "terminal_size", "times_result", "uname_result",
                                              "statvfs_result", "sched_param", "waitid_result", "error", "fspath",
                                              "major", "minor", "makedev", "strerror", "WIFEXITED", "WEXITSTATUS",
                                              "WIFSIGNALED", "WTERMSIG", "WIFSTOPPED", "WSTOPSIG", "WCOREDUMP",
                                              "WIFCONTINUED", "waitstatus_to_exitcode", "sysconf_names",
                                              "confstr_names", "pathconf_names", "_have_functions"}:  # fmt: skip
            setattr(m, name, value)
    m.environ = {}
    m.DirEntry = DirEntry

    def put(function, name=None):
        setattr(m, name or function.__name__.rstrip("_"), function)
        return function

    for name in ("dup", "lseek", "fchdir", "fsync", "fdatasync", "ftruncate", "umask", "getpid", "getppid",
                 "getuid", "geteuid", "getgid", "getegid", "getgroups", "setsid", "setpgid", "getpgid", "getsid",
                 "setuid", "seteuid", "setgid", "setegid", "setreuid", "setregid", "setresuid", "setresgid", "kill",
                 "killpg", "nice", "getpriority", "setpriority", "sync", "getpgrp", "pidfd_open", "fchmod",
                 "sched_getscheduler", "sched_yield", "eventfd", "posix_fallocate",
                 "sched_get_priority_max", "sched_get_priority_min", "setpgrp", "unshare", "setns"):  # fmt: skip
        put(lambda *a, _n=name, **k: call(_n, *a, *k.values()), name)
    for name in ("getresuid", "getresgid"):
        put(lambda _n=name: tuple(call(_n)), name)

    files.add(m, put)
    children.add(m, put)

    @put
    def uname():
        return real.uname_result(call("uname"))

    @put
    def times():
        return real.times_result(call("times"))

    @put
    def urandom(size):
        return call("getrandom", size)

    @put
    def getrandom(size, flags=0):
        return call("getrandom", size)

    @put
    def putenv(name, value):
        pass

    @put
    def unsetenv(name):
        pass

    @put
    def get_terminal_size(fd=1):
        raise OSError(25, real.strerror(25))

    @put
    def device_encoding(fd):
        return None

    @put
    def cpu_count():
        return call("cpus")

    @put
    def getloadavg():
        return (0.0, 0.0, 0.0)

    @put
    def getlogin():
        raise OSError(6, real.strerror(6))

    @put
    def sysconf(name):
        known = {"SC_PAGESIZE": 4096, "SC_PAGE_SIZE": 4096, "SC_CLK_TCK": 100, "SC_NPROCESSORS_ONLN": 1,
                 "SC_NPROCESSORS_CONF": 1, "SC_OPEN_MAX": 256, "SC_IOV_MAX": 1024, "SC_ARG_MAX": 2097152}  # fmt: skip
        if name not in known:
            raise Unmodelled(f"sysconf {name}")
        return call("limit", 7) if name == "SC_OPEN_MAX" else known[name]

    m._have_functions = [name for name in real._have_functions if name not in {"HAVE_FEXECVE"}]
    m.finish = finish
    return m
