"""Programs of which only a corner is modelled: the loader, the compiler, awk."""

import os
import re

from applets.registry import program, put
from shim import Unmodelled, call


@program("ld.so", "ld-linux-x86-64.so.2")
def loader(argv):
    """The loader run as a program: it reads and maps another one itself, so execve is not asked."""
    if len(argv) < 2 or argv[1].startswith("-"):
        raise Unmodelled("an option of the loader")
    try:
        call("load", argv[1], argv[1:])
    except OSError as error:
        what = "failed to map segment from shared object" if error.errno == 1 else "cannot open shared object file"
        os.write(2, f"{argv[1]}: error while loading shared libraries: {argv[1]}: {what}: {error.strerror}\n".encode())
    return 127


@program("x86_64-linux-gnu-gcc-12")
def compiler(argv):
    """The compiler says which one it is, and compiles nothing here."""
    if "--version" not in argv[1:]:
        raise Unmodelled("a compiled program")
    put(
        f"{argv[0].rpartition('/')[2]} (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022 Free Software Foundation, Inc.\n"
    )
    return 0


@program("mawk")
def awk(argv):
    """Only `BEGIN { exit system("...") }`: awk as the way to another program."""
    found = re.fullmatch(r'\s*BEGIN\s*\{\s*exit system\("([^"]*)"\)\s*\}\s*', argv[1] if len(argv) == 2 else "")
    if found is None:
        raise Unmodelled("an awk program")
    pid = os.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", found[1]])
    status = os.waitpid(pid, 0)[1]
    return 256 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
