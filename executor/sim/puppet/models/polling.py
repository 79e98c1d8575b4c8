"""`select` over the model: poll, epoll and select."""

import select as real_select

from models.common import constants, number
from shim import call


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
