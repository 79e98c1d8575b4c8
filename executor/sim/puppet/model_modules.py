"""The other modules with effects over the model: sockets, select, clocks, signals, limits, mappings, users."""

import posix as real
import resource as real_resource
import signal as real_signal
import socket as real_socket
import struct
import time as real_time
import types

import _signal as raw_signal
import _socket as raw_socket
import fcntl as real_fcntl
import select as real_select
import shim
from shim import Unmodelled, call

import mmap as real_mmap


def constants(of, name):
    """A module with the numbers, and nothing else, of a real one."""
    made = types.ModuleType(name)
    for key in dir(of):
        if isinstance(getattr(of, key), int) and not isinstance(getattr(of, key), type):
            setattr(made, key, getattr(of, key))
    return made


def missing(module, name, *functions):
    """Functions that the model does not have: using one says so."""
    for function in functions:

        def refuse(*_a, _f=function, **_k):
            raise Unmodelled(f"{name}.{_f}")

        if not hasattr(module, function):
            setattr(module, function, refuse)


def number(handle):
    return handle if isinstance(handle, int) else handle.fileno()


def select_module():
    """`select`: poll, epoll and select."""
    m = constants(real_select, "select")
    m.error = OSError

    class Poll:
        def __init__(self):
            self._wanted = {}

        def register(self, handle, mask=m.POLLIN | m.POLLPRI | m.POLLOUT):
            self._wanted[number(handle)] = mask

        modify = register

        def unregister(self, handle):
            del self._wanted[number(handle)]

        def poll(self, timeout=None, _count=None):
            wait = -1 if timeout is None or timeout < 0 else timeout
            return [tuple(one) for one in call("poll", list(self._wanted.items()), wait)]

    class Epoll(Poll):
        def __init__(self, sizehint=-1, flags=0):
            super().__init__()
            self._fd = call("epoll_create")
            self.closed = False

        def fileno(self):
            return self._fd

        def poll(self, timeout=None, maxevents=-1):
            wait = -1 if timeout is None or timeout < 0 else timeout * 1000
            return super().poll(wait)

        def close(self):
            if not self.closed:
                self.closed = True
                call("close", self._fd)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.close()

    m.poll, m.epoll = Poll, Epoll
    for name, value in (("EPOLLIN", 1), ("EPOLLOUT", 4), ("EPOLLERR", 8), ("EPOLLHUP", 16), ("EPOLLET", 1 << 31)):
        setattr(m, name, value)

    def select(reading, writing, special, timeout=None):
        wanted = {}
        for handle in reading:
            wanted[number(handle)] = m.POLLIN
        for handle in writing:
            wanted[number(handle)] = wanted.get(number(handle), 0) | m.POLLOUT
        wait = -1 if timeout is None else timeout * 1000
        found = dict(tuple(one) for one in call("poll", list(wanted.items()), wait))
        ready = m.POLLIN | m.POLLHUP | m.POLLERR
        return (
            [one for one in reading if found.get(number(one), 0) & ready],
            [one for one in writing if found.get(number(one), 0) & m.POLLOUT],
            [],
        )

    m.select = select
    return m


def socket_module():
    """`_socket`: the type sockets are made of, and names without a resolver."""
    m = constants(raw_socket, "_socket")
    for name in ("error", "herror", "gaierror", "timeout", "htons", "ntohs", "htonl", "ntohl", "inet_aton", "inet_ntoa",
                 "inet_pton", "inet_ntop", "CAPI", "CMSG_LEN", "CMSG_SPACE"):  # fmt: skip
        setattr(m, name, getattr(raw_socket, name))

    def plain(address):
        return list(address) if isinstance(address, tuple) else address

    def back(address):
        return tuple(address) if isinstance(address, list) else address

    class Socket:
        __slots__ = ("_facts", "_fd", "_timeout")

        def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
            if fileno is not None:
                self._facts = [1 if family == -1 else int(family), 1 if type == -1 else int(type), 0]
                self._fd = fileno
            else:
                self._facts = [2 if family == -1 else int(family), 1 if type == -1 else int(type), max(0, int(proto))]
                self._fd = call("socket", *self._facts)
            self._timeout = None

        family = property(lambda self: self._facts[0])
        type = property(lambda self: self._facts[1])
        proto = property(lambda self: self._facts[2])

        def fileno(self):
            return self._fd

        def detach(self):
            fd, self._fd = self._fd, -1
            return fd

        def close(self):
            if self._fd >= 0:
                fd, self._fd = self._fd, -1
                call("close", fd)

        _real_close = close

        def settimeout(self, seconds):
            self._timeout = seconds

        def gettimeout(self):
            return self._timeout

        def setblocking(self, flag):
            self._timeout = None if flag else 0.0

        def getblocking(self):
            return self._timeout != 0.0

        @property
        def timeout(self):
            return self._timeout

        def _ask(self, name, *arguments):
            try:
                return call(name, self._fd, *arguments)
            except OSError as error:
                if error.errno == 110 and self._timeout is not None and name != "wait":
                    raise TimeoutError("timed out") from None
                raise

        def _wait(self):
            return -1 if self._timeout is None else self._timeout * 1e9

        def bind(self, address):
            self._ask("bind", plain(address))

        def listen(self, backlog=128):
            self._ask("listen", backlog)

        def _accept(self):
            fd, address = self._ask("accept", self._wait())
            return fd, back(address)

        def connect(self, address):
            self._ask("connect", plain(address), self._wait())

        def connect_ex(self, address):
            try:
                self.connect(address)
            except OSError as error:
                return error.errno or 110
            return 0

        def send(self, data, flags=0):
            return self._ask("send", bytes(data), flags)

        def sendall(self, data, flags=0):
            data = bytes(data)
            while data:
                data = data[self.send(data, flags) :]

        def sendto(self, data, *rest):
            return self._ask("sendto", bytes(data), plain(rest[-1]))

        def recv(self, size, flags=0):
            return self._ask("recv", size, self._wait(), flags)

        def recvfrom(self, size, flags=0):
            data, address = self._ask("recvfrom", size, self._wait())
            return data, back(address)

        def recv_into(self, buffer, nbytes=0, flags=0):
            data = self.recv(nbytes or len(buffer), flags)
            buffer[: len(data)] = data
            return len(data)

        def setsockopt(self, level, option, value, length=None):
            self._ask("setsockopt", level, option, value)

        def getsockopt(self, level, option, size=0):
            return self._ask("getsockopt", level, option)

        def getsockname(self):
            return back(self._ask("getsockname"))

        def getpeername(self):
            return back(self._ask("getpeername"))

        def shutdown(self, how):
            self._ask("shutdown", how)

    m.socket = m.SocketType = Socket

    def socketpair(family=1, type=1, proto=0):
        one, two = call("socketpair", int(family), int(type), proto)
        return Socket(family, type, proto, one), Socket(family, type, proto, two)

    m.socketpair = socketpair
    m.close = lambda fd: call("close", fd)
    m.dup = lambda fd: call("dup", fd)
    m.gethostname = lambda: call("uname")[1]
    m.sethostname = lambda name: call("sethostname", name if isinstance(name, str) else name.decode())
    m.getdefaulttimeout = lambda: None
    m.setdefaulttimeout = lambda value: None if value is None else missing_default()
    m.has_ipv6 = True

    def missing_default():
        raise Unmodelled("socket.setdefaulttimeout")

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        try:
            return [
                (kind, one_type, number, "", tuple(address))
                for kind, one_type, number, address in call(
                    "getaddrinfo", host if host is None or isinstance(host, str) else host.decode(), port or 0,
                    int(family), int(type)
                )
            ]  # fmt: skip
        except OSError as error:
            raise raw_socket.gaierror(error.errno - 1000, "Temporary failure in name resolution"
                                      if error.errno - 1000 == -3 else "Name or service not known") from None  # fmt: skip

    m.getaddrinfo = getaddrinfo
    m.gethostbyname = lambda host: getaddrinfo(host, 0, 2)[0][4][0]

    def if_nametoindex(name):
        for index, one in call("cards"):
            if one == name:
                return index
        raise OSError("no interface with this name")

    m.if_nametoindex = if_nametoindex
    m.if_nameindex = lambda: [tuple(one) for one in call("if_nameindex")]
    missing(m, "socket", "getnameinfo", "gethostbyaddr", "getservbyname", "getprotobyname",
            "gethostbyname_ex", "getservbyport", "if_indextoname")  # fmt: skip
    return m


def fcntl_module():
    """`fcntl`: fcntl, ioctl, flock."""
    m = constants(real_fcntl, "fcntl")

    def fcntl(handle, command, argument=0):
        return call("fcntl", number(handle), command, argument)

    def ioctl(handle, request, argument=0, mutate=True):
        writable = isinstance(argument, bytearray)
        given = bytes(argument) if isinstance(argument, (bytes, bytearray)) else argument
        code, data = call("ioctl", number(handle), request & 0xFFFFFFFF, given)
        if writable and mutate:
            argument[: len(data)] = data
            return code
        return data if isinstance(argument, bytes) else code

    m.fcntl, m.ioctl = fcntl, ioctl
    m.flock = lambda handle, operation: call("flock", number(handle), int(operation))
    m.lockf = lambda *_a: None
    return m


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


def mmap_module():
    """`mmap`: anonymous memory is the puppet's own and counts as the guest's; a file's is a copy, stored at the end."""
    m = constants(real_mmap, "mmap")
    m.error = OSError

    class mmap(real_mmap.mmap):
        def __new__(cls, fileno, length, flags=1, prot=3, access=0, offset=0):
            anonymous = real_mmap.MAP_SHARED | real_mmap.MAP_ANONYMOUS
            if fileno == -1:
                call("mapped", length)
                return super().__new__(cls, -1, length, anonymous)
            if access:
                flags, prot = {1: (1, 1), 2: (1, 3), 3: (2, 3)}[access]
            if length == 0:
                raise Unmodelled("a mapping of a whole file")
            data = call("mapped_file", fileno, length, prot, flags, offset)
            if len(data) < length - length % 4096:
                raise Unmodelled("a mapping behind a file's end")
            made = super().__new__(cls, -1, length, anonymous)
            made[: len(data)] = data
            made.target = (call("dup", fileno), offset, len(data)) if flags & 1 and prot & 2 else None
            return made

        target = None

        def flush(self, *_arguments):
            if self.target is not None:
                call("pwrite", self.target[0], self[: self.target[2]], self.target[1])

        def close(self):
            if self.target is not None:
                self.flush()
                call("close", self.target[0])
                self.target = None
            super().close()

    m.mmap = mmap
    return m


def time_module():
    """`time` on the model's clock."""
    m = constants(real_time, "time")
    for name in ("struct_time", "strftime", "strptime", "mktime", "asctime", "tzset", "get_clock_info", "_STRUCT_TM_ITEMS"):
        if hasattr(real_time, name):
            setattr(m, name, getattr(real_time, name))
    m.timezone, m.altzone, m.daylight, m.tzname = 0, 0, 0, ("UTC", "UTC")
    m.time_ns = lambda: call("clock", 0)
    m.time = lambda: call("clock", 0) / 1e9
    for name, which in (("monotonic", 1), ("perf_counter", 1), ("process_time", 2), ("thread_time", 3)):
        setattr(m, name, lambda _w=which: call("clock", _w) / 1e9)
        setattr(m, f"{name}_ns", lambda _w=which: call("clock", _w))
    m.clock_gettime = lambda which: call("clock", which) / 1e9
    m.clock_gettime_ns = lambda which: call("clock", which)
    m.clock_getres = lambda which: 1e-9
    m.clock_settime = lambda which, value: call("clock_settime", which, round(value * 1e9))
    m.clock_settime_ns = lambda which, value: call("clock_settime", which, value)

    def sleep(seconds):
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        call("sleep", round(seconds * 1e9))

    m.sleep = sleep
    m.gmtime = lambda seconds=None: real_time.gmtime(m.time() if seconds is None else seconds)
    m.localtime = m.gmtime
    m.ctime = lambda seconds=None: real_time.asctime(m.gmtime(seconds))
    return m


def signal_module():
    """`_signal`: what is caught and ignored is told to the model, which delivers."""
    m = constants(raw_signal, "_signal")
    m.default_int_handler = raw_signal.default_int_handler
    m.struct_siginfo = raw_signal.struct_siginfo
    m.ItimerError = OSError
    m.strsignal, m.valid_signals = raw_signal.strsignal, raw_signal.valid_signals

    def signal(number, handler):
        if not 1 <= number <= 64:
            raise ValueError("signal number out of range")
        before = shim.handlers.get(number, m.default_int_handler if number == 2 else 0)
        call("sigaction", int(number), int(handler) if not callable(handler) else 2)
        shim.handlers[number] = handler if callable(handler) else int(handler)
        return before

    m.signal = signal
    m.getsignal = lambda number: shim.handlers.get(number, m.default_int_handler if number == 2 else 0)
    m.pause = lambda: call("pause")
    m.alarm = lambda seconds: call("alarm", seconds * 10**9)
    m.raise_signal = lambda number: call("kill", call("getpid"), int(number))
    m.pthread_kill = lambda _thread, number: call("kill", call("getpid"), int(number))
    m.pidfd_send_signal = lambda fd, number, info=None, flags=0: call("pidfd_send_signal", fd, int(number))
    m.set_wakeup_fd = lambda fd, **_k: -1
    m.siginterrupt = lambda *_a: None
    m.setitimer = lambda which, seconds, interval=0.0: (call("alarm", round(seconds * 1e9)) / 1e9, 0.0)
    m.getitimer = lambda which: (0.0, 0.0)
    m.pthread_sigmask = lambda how, mask: set(call("sigmask", int(how), [int(one) for one in mask]))
    m.sigpending = lambda: set(call("sigpending"))

    def waited(numbers, seconds):
        number = call("sigtimedwait", [int(one) for one in numbers], seconds * 1e9)
        return raw_signal.struct_siginfo((number, 0, 0, 0, 0, 0, 0))

    def sigtimedwait(numbers, seconds):
        try:
            return waited(numbers, seconds)
        except BlockingIOError:
            return None

    m.sigtimedwait = sigtimedwait
    m.sigwaitinfo = lambda numbers: waited(numbers, -1)
    m.sigwait = lambda numbers: waited(numbers, -1).si_signo
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


def _table(path, width):
    rows = []
    for row in shim.whole(path).decode().splitlines():
        fields = row.split(":")
        if len(fields) == width:
            rows.append(fields)
    return rows


def pwd_module():
    """`pwd` from the guest's /etc/passwd."""
    m = types.ModuleType("pwd")

    class struct_passwd(tuple):
        names = ("pw_name", "pw_passwd", "pw_uid", "pw_gid", "pw_gecos", "pw_dir", "pw_shell")

        def __getattr__(self, name):
            if name not in self.names:
                raise AttributeError(name)
            return self[self.names.index(name)]

    def every():
        return [
            struct_passwd((r[0], r[1], int(r[2]), int(r[3]), *r[4:])) for r in _table("/etc/passwd", 7)
        ]

    def find(key, index):
        for one in every():
            if one[index] == key:
                return one
        raise KeyError(f"getpwnam(): name not found: {key!r}" if index == 0 else f"getpwuid(): uid not found: {key}")

    m.struct_passwd, m.getpwall = struct_passwd, every
    m.getpwnam = lambda name: find(name, 0)
    m.getpwuid = lambda uid: find(uid, 2)
    return m


def grp_module():
    """`grp` from the guest's /etc/group."""
    m = types.ModuleType("grp")

    class struct_group(tuple):
        names = ("gr_name", "gr_passwd", "gr_gid", "gr_mem")

        def __getattr__(self, name):
            if name not in self.names:
                raise AttributeError(name)
            return self[self.names.index(name)]

    def every():
        return [
            struct_group((r[0], r[1], int(r[2]), r[3].split(",") if r[3] else [])) for r in _table("/etc/group", 4)
        ]

    def find(key, index):
        for one in every():
            if one[index] == key:
                return one
        raise KeyError(key)

    m.struct_group, m.getgrall = struct_group, every
    m.getgrnam = lambda name: find(name, 0)
    m.getgrgid = lambda gid: find(gid, 2)
    return m


assert struct and real_socket and real_signal
