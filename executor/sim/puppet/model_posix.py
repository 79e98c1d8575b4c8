"""`posix` over the model: the names of the real module, each a message to the kernel model."""

import os as real_os
import posix as real
import stat
import types

from shim import Unmodelled, call, close, finish, fork, named, opened

AT_FDCWD = -100


def text(path):
    """A path as the model wants it: str, with undecodable bytes as surrogates."""
    if isinstance(path, int):
        return path
    path = real.fspath(path)
    if isinstance(path, bytes):
        path = path.decode("utf-8", "surrogateescape")
    if "\0" in path:
        raise ValueError("embedded null byte")
    return path


def like(path, value):
    """`value` as bytes where the caller's path was bytes."""
    return value.encode("utf-8", "surrogateescape") if isinstance(path, bytes) else value


def result(raw):
    """A stat_result of the model's list."""
    plain, times, rest = raw
    extra = dict(zip(("st_atime", "st_mtime", "st_ctime"), (one / 1e9 for one in times), strict=True))
    extra |= dict(zip(("st_atime_ns", "st_mtime_ns", "st_ctime_ns"), times, strict=True))
    extra |= {"st_blksize": 4096, "st_blocks": rest[0], "st_rdev": rest[1]}
    return real.stat_result((*plain, *(one // 10**9 for one in times)), extra)


def _stat(path, *, dir_fd=None, follow_symlinks=True):
    if isinstance(path, int):
        return result(call("fstat", path))
    return result(named("stat", path, text(path), dir_fd, follow_symlinks))


class DirEntry:
    """What scandir yields."""

    def __init__(self, folder, name, kind, inode):
        self.name, self._kind, self._inode = name, kind, inode
        base = folder if isinstance(folder, (str, bytes)) else "."
        slash = b"/" if isinstance(base, bytes) else "/"
        self.path = base + name if base.endswith(slash) else base + slash + name
        if isinstance(folder, int):
            self.path = name

    def __fspath__(self):
        return self.path

    def inode(self):
        return self._inode

    def is_symlink(self):
        return self._kind == stat.S_IFLNK

    def is_dir(self, *, follow_symlinks=True):
        return self._is(stat.S_IFDIR, follow_symlinks)

    def is_file(self, *, follow_symlinks=True):
        return self._is(stat.S_IFREG, follow_symlinks)

    def is_junction(self):
        return False

    def _is(self, kind, follow):
        if self._kind != stat.S_IFLNK or not follow:
            return self._kind == kind
        try:
            return stat.S_IFMT(_stat(self.path).st_mode) == kind
        except OSError:
            return False

    def stat(self, *, follow_symlinks=True):
        return _stat(self.path, follow_symlinks=follow_symlinks)


class Scan:
    """The iterator scandir returns."""

    def __init__(self, folder):
        shown = "." if folder is None else folder
        self._entries = iter(
            [DirEntry(shown, like(shown, n), k, i) for n, k, i in named("listdir", shown, text(shown))]
        )

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass


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

    @put
    def open_(path, flags, mode=0o777, *, dir_fd=None):
        handle = named("open", path, text(path), flags | m.O_CLOEXEC, mode, dir_fd)
        opened.add(handle)
        return handle

    for name in ("read", "pread"):
        put(lambda *a, _n=name: call(_n, *a), name)

    @put
    def write(fd, data):
        return call("write", fd, bytes(data))

    @put
    def pwrite(fd, data, offset):
        return call("pwrite", fd, bytes(data), offset)

    @put
    def writev(fd, parts):
        return call("write", fd, b"".join(bytes(part) for part in parts))

    @put
    def readv(fd, buffers):
        done = 0
        for buffer in buffers:
            got = call("read", fd, len(buffer))
            buffer[: len(got)] = got
            done += len(got)
            if len(got) < len(buffer):
                break
        return done

    put(close)
    for name in ("dup", "lseek", "fchdir", "fsync", "fdatasync", "ftruncate", "umask", "getpid", "getppid",
                 "getuid", "geteuid", "getgid", "getegid", "getgroups", "setsid", "setpgid", "getpgid", "getsid",
                 "setuid", "seteuid", "setgid", "setegid", "setreuid", "setregid", "setresuid", "setresgid", "kill",
                 "killpg", "nice", "getpriority", "setpriority", "sync", "getpgrp", "pidfd_open", "fchmod",
                 "sched_getscheduler", "sched_yield", "eventfd", "posix_fallocate",
                 "sched_get_priority_max", "sched_get_priority_min", "setpgrp", "unshare", "setns"):  # fmt: skip
        put(lambda *a, _n=name, **k: call(_n, *a, *k.values()), name)
    for name in ("getresuid", "getresgid"):
        put(lambda _n=name: tuple(call(_n)), name)

    @put
    def closerange(low, high):
        call("closerange", low, high)

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

    @put
    def dup2(fd, fd2, inheritable=True):
        return call("dup2", fd, fd2, inheritable)

    @put
    def pipe():
        return tuple(call("pipe", m.O_CLOEXEC))

    @put
    def pipe2(flags):
        return tuple(call("pipe", flags))

    put(_stat, "stat")

    @put
    def lstat(path, *, dir_fd=None):
        return _stat(path, dir_fd=dir_fd, follow_symlinks=False)

    @put
    def fstat(fd):
        return result(call("fstat", fd))

    @put
    def access(path, mode, *, dir_fd=None, effective_ids=False, follow_symlinks=True):
        try:
            call("access", text(path), mode, dir_fd)
        except OSError:
            return False
        return True

    @put
    def listdir(path="."):
        return [like(path, entry[0]) for entry in named("listdir", path, text("." if path is None else path))]

    put(Scan, "scandir")

    @put
    def mkdir(path, mode=0o777, *, dir_fd=None):
        named("mkdir", path, text(path), mode, dir_fd)

    @put
    def rmdir(path, *, dir_fd=None):
        named("rmdir", path, text(path), dir_fd)

    def unlink(path, *, dir_fd=None):
        named("unlink", path, text(path), dir_fd)

    put(unlink)
    put(unlink, "remove")

    def rename(src, dst, *, src_dir_fd=None, dst_dir_fd=None):
        try:
            call("rename", text(src), text(dst), src_dir_fd, dst_dir_fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, src, None, dst) from None

    put(rename)
    put(rename, "replace")

    @put
    def link(src, dst, *, src_dir_fd=None, dst_dir_fd=None, follow_symlinks=True):
        try:
            call("link", text(src), text(dst), src_dir_fd, dst_dir_fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, src, None, dst) from None

    @put
    def symlink(src, dst, target_is_directory=False, *, dir_fd=None):
        try:
            call("symlink", text(src), text(dst), dir_fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, src, None, dst) from None

    @put
    def readlink(path, *, dir_fd=None):
        return like(path, named("readlink", path, text(path), dir_fd))

    @put
    def chmod(path, mode, *, dir_fd=None, follow_symlinks=True):
        if isinstance(path, int):
            return call("fchmod", path, mode)
        return named("chmod", path, text(path), mode, dir_fd)

    @put
    def chown(path, uid, gid, *, dir_fd=None, follow_symlinks=True):
        if isinstance(path, int):
            return call("fchown", path, uid, gid)
        return named("chown", path, text(path), uid, gid, dir_fd, follow_symlinks)

    @put
    def lchown(path, uid, gid):
        named("chown", path, text(path), uid, gid, None, False)

    @put
    def fchown(fd, uid, gid):
        call("fchown", fd, uid, gid)

    @put
    def utime(path, times=None, *, ns=None, dir_fd=None, follow_symlinks=True):
        if times is not None:
            ns = tuple(round(one * 1e9) for one in times)
        named("utime", path, text(path), list(ns) if ns else None, dir_fd)

    @put
    def truncate(path, length):
        if isinstance(path, int):
            return call("ftruncate", path, length)
        return named("truncate", path, text(path), length)

    @put
    def getcwd():
        return call("getcwd")

    @put
    def getcwdb():
        return call("getcwd").encode()

    @put
    def chdir(path):
        if isinstance(path, int):
            return call("fchdir", path)
        return named("chdir", path, text(path))

    @put
    def chroot(path):
        named("chroot", path, text(path))

    @put
    def mkfifo(path, mode=0o666, *, dir_fd=None):
        named("mknod", path, text(path), stat.S_IFIFO | mode, 0, dir_fd)

    @put
    def mknod(path, mode=0o600, device=0, *, dir_fd=None):
        named("mknod", path, text(path), mode, device, dir_fd)

    @put
    def statvfs(path):
        raw = call("fstatvfs", path) if isinstance(path, int) else named("statvfs", path, text(path))
        return real.statvfs_result(raw)

    m.fstatvfs = statvfs

    for name in ("getxattr", "removexattr"):
        put(lambda path, key, *, follow_symlinks=True, _n=name: named(_n, path, text(path), text(key)), name)

    @put
    def setxattr(path, key, value, flags=0, *, follow_symlinks=True):
        named("setxattr", path, text(path), text(key), bytes(value))

    @put
    def listxattr(path=".", *, follow_symlinks=True):
        return named("listxattr", path, text(path))

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
    def isatty(fd):
        return False

    @put
    def get_terminal_size(fd=1):
        raise OSError(25, real.strerror(25))

    @put
    def set_inheritable(fd, inheritable):
        call("set_inheritable", fd, bool(inheritable))

    @put
    def get_inheritable(fd):
        return call("get_inheritable", fd)

    @put
    def set_blocking(fd, blocking):
        call("set_blocking", fd, bool(blocking))

    @put
    def get_blocking(fd):
        return call("get_blocking", fd)

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

    @put
    def memfd_create(name, flags=1):
        return call("memfd_create", text(name), flags)

    @put
    def sendfile(out_fd, in_fd, offset, count):
        data = call("pread", in_fd, count, offset) if offset is not None else call("read", in_fd, count)
        return call("write", out_fd, data) if data else 0

    @put
    def copy_file_range(src, dst, count, offset_src=None, offset_dst=None):
        data = call("pread", src, count, offset_src) if offset_src is not None else call("read", src, count)
        return call("write", dst, data) if data else 0

    @put
    def system(command):
        pid = fork()
        if pid == 0:
            try:
                execve("/bin/sh", ["sh", "-c", command], m.environ)
            except OSError:
                leave(127)
        return waitpid(pid, 0)[1]

    m.supports_ = None
    m._have_functions = [name for name in real._have_functions if name not in {"HAVE_FEXECVE"}]
    m.real = real_os
    del m.real, m.supports_
    m.finish = finish
    return m
