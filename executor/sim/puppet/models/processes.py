"""Limits of processes, and `_posixsubprocess`: fork and exec over the model."""

import posix as real
import resource as real_resource
import types

import shim
from models.common import constants
from shim import Unmodelled, call


def resource_module():
    """`resource`: limits and usage."""
    m = constants(real_resource, "resource")
    m.error, m.struct_rusage = OSError, real_resource.struct_rusage
    m.getrlimit = lambda kind: tuple(call("getrlimit", kind))
    m.getrusage = lambda who: real_resource.struct_rusage(call("getrusage", who))
    m.getpagesize = lambda: 4096

    def setrlimit(kind, values):
        try:
            call("setrlimit", kind, list(values))
        except OSError as error:
            if error.errno == 1:
                raise ValueError("not allowed to raise maximum limit") from None
            raise

    m.setrlimit = setrlimit

    def prlimit(pid, kind, values=None):
        return tuple(call("prlimit", pid, kind, list(values) if values else None))

    m.prlimit = prlimit
    return m


def subprocess_module():
    """`_posixsubprocess`: fork and exec over the model."""
    m = types.ModuleType("_posixsubprocess")

    def fork_exec(args, executables, close_fds, keep, cwd, env, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite,
                  errpipe_read, errpipe_write, restore_signals, start_new_session, process_group, gid, groups, uid,
                  umask, preexec, *_rest):  # fmt: skip
        posix = shim.stash.get("posix") or __import__("posix")
        pid = shim.fork()
        if pid:
            return pid
        try:
            for source, target in ((p2cread, 0), (c2pwrite, 1), (errwrite, 2)):
                if source == target:
                    posix.set_inheritable(source, True)
                elif source != -1:
                    posix.dup2(source, target)
            if cwd is not None:
                posix.chdir(cwd)
            if umask >= 0:
                posix.umask(umask)
            if restore_signals:
                call("sigaction", 13, 0)
                call("sigaction", 25, 0)
            if start_new_session:
                posix.setsid()
            if gid is not None:
                posix.setregid(gid, gid)
            if uid is not None:
                posix.setreuid(uid, uid)
            if preexec is not None:
                preexec()
            if close_fds:
                call("close_other", [0, 1, 2, errpipe_write, *keep])
            pairs = posix.environ.items() if env is None else (item.split(b"=", 1) for item in env)
            pairs = [[key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")]
                     for key, value in pairs]  # fmt: skip
            argv = [one.decode("utf-8", "surrogateescape") if isinstance(one, bytes) else str(one) for one in args]
            failed = 2
            for executable in executables:
                try:
                    call("execve", executable.decode("utf-8", "surrogateescape"), argv, pairs)
                except OSError as error:
                    if error.errno not in {2, 20}:
                        failed = error.errno
            raise OSError(failed, "")
        except OSError as error:
            call("write", errpipe_write, f"OSError:{error.errno:X}:".encode())
        except BaseException as error:
            if isinstance(error, Unmodelled):
                shim.say_unmodelled(str(error))
            call("write", errpipe_write, b"SubprocessError:0:Exception occurred in preexec_fn.")
        call("exit", 255)
        real._exit(0)
        return 0

    m.fork_exec = fork_exec
    return m
