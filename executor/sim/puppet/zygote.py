"""The process that puppets are forked from: loads everything once, gives up everything, then forks on order.

    python3 -I -S -B zygote.py DESCRIPTOR

An order is a length (with the puppet's channel beside it) and JSON. The answer is the puppet's process id.
"""

import ctypes
import gc
import os
import posix as real
import resource
import struct
import sys

NOBODY = 65534
MEMORY = 1 << 30
"""Bytes of address space a puppet may use; the model kills long before."""
ALLOWED = (
    0, 1, 3, 9, 10, 11, 12, 13, 14, 15, 25, 28, 39, 46, 47, 44, 45, 51, 53, 55, 57, 60, 131, 186, 202, 218, 228, 230, 231, 234,
    273, 318, 334,
)  # fmt: skip
"""read write close mmap mprotect munmap brk rt_sig* mremap madvise getpid sendmsg recvmsg sendto recvfrom getsockname socketpair
getsockopt fork exit sigaltstack gettid futex set_tid_address clock_gettime clock_nanosleep exit_group tgkill set_robust_list
getrandom rseq. A puppet needs them to compute, to fork itself and to talk over the one socket it has."""
CLONE, CLONE3 = 56, 435
NEW_NAMESPACES = 0x7E020080


def confine(keep):
    """No user, no files, no kernel: what is left is the processor, memory and the socket."""
    for number in range(256):
        if number not in keep:
            try:
                os.close(number)
            except OSError:
                pass
    for limit, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, 600)):
        resource.setrlimit(limit, (value, value))
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(36, 1, 0, 0, 0) or libc.prctl(38, 1, 0, 0, 0):  # subreaper, no_new_privs
        raise OSError(ctypes.get_errno(), "prctl")
    errno_of = 0x00050000
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, 0xC000003E), (0x06, 0, 0, 0x80000000), (0x20, 0, 0, 0)]
    code += [(0x15, 0, 1, CLONE3), (0x06, 0, 0, errno_of | 38)]  # ENOSYS: the C library takes clone
    code += [(0x15, 0, 4, CLONE), (0x20, 0, 0, 16), (0x45, 0, 1, NEW_NAMESPACES), (0x06, 0, 0, errno_of | 1)]
    code += [(0x06, 0, 0, 0x7FFF0000)]
    for number in ALLOWED:
        code += [(0x15, 0, 1, number), (0x06, 0, 0, 0x7FFF0000)]
    code += [(0x06, 0, 0, errno_of | 1)]
    raw = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in code))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(raw)))
    if libc.prctl(22, 2, program, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def main():
    """Load, confine, say that it is ready, fork on order."""
    import signal
    import socket

    import _socket

    control = int(sys.argv[1])
    line = socket.socket(fileno=control)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import shim

    shim.load(_socket)
    confine({control})
    gc.collect()
    gc.freeze()
    line.sendall(b"ready")
    while True:
        head, handles, _, _ = socket.recv_fds(line, 4, 1)
        if len(head) < 4:
            return
        size = struct.unpack("<I", head)[0]
        raw = b""
        while len(raw) < size:
            raw += line.recv(size - len(raw))
        pid = real.fork()
        if pid == 0:
            real.close(control)
            try:
                shim.become(handles[0], raw)
            finally:
                real._exit(0)
        real.close(handles[0])
        line.sendall(struct.pack("<q", pid))


main()
