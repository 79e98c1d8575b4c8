"""`_socket` over the model: the type sockets are made of, and names."""

import _socket as raw_socket
from models.common import constants, missing
from shim import Unmodelled, call


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
