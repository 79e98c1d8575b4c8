"""What is asked of a descriptor beyond reading and writing: `fcntl`, `mmap`."""

import fcntl as real_fcntl

from models.common import constants, number
from shim import Unmodelled, call

import mmap as real_mmap


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
