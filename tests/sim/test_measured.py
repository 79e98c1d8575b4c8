"""What programs see in the simulator, as it was measured side by side with an emulated machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from executor.sim.clock import SimClock
from executor.sim.provider import SimProvider
from tests.sim.test_model import run

TOLD: Final = """\
import errno, os
def told(do):
    try: print(do())
    except OSError as error: print(errno.errorcode[error.errno])
"""
RENAMES: Final = """\
os.mkdir("d"); open("d/f", "w").close(); open("g", "w").close(); os.link("g", "h")
told(lambda: os.rename("d", "d/e")); told(lambda: os.rename("d/f", "d")); told(lambda: os.rename("g/", "k"))
told(lambda: os.rename("g", "h")); print(sorted(os.listdir(".")), os.listdir("d"))
"""
LOCKS: Final = """\
import fcntl
one, two = open("l", "w"), open("l", "w")
fcntl.flock(one, fcntl.LOCK_EX); told(lambda: fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB))
fcntl.flock(one, fcntl.LOCK_SH); told(lambda: fcntl.flock(two, fcntl.LOCK_SH | fcntl.LOCK_NB))
told(lambda: fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)); two.close()
told(lambda: fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB))
"""
ALARM: Final = """\
import signal
signal.signal(signal.SIGALRM, lambda *_: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.1)
signal.pause(); print("on")
"""
SIZES: Final = """\
f = os.open("f", os.O_CREAT | os.O_RDWR); told(lambda: os.ftruncate(f, -1)); told(lambda: os.truncate("f", -1))
os.posix_fallocate(f, 0, 1 << 20); print(os.fstat(f).st_size); told(lambda: os.posix_fallocate(f, 0, 1 << 34))
os.chmod("f", 0o6755); os.pwrite(f, b"x", 0); print(oct(os.stat("f").st_mode))
"""
SOCKETS: Final = """\
import socket
for family, kind in ((2, 3), (2, 5), (10, 1), (10, 3)): told(lambda: socket.socket(family, kind))
s = socket.socket(1); s.bind("/workspace/s"); s.listen(); c = socket.socket(1); c.connect("/workspace/s")
print(s.accept()[0].getsockname()); told(lambda: socket.socket(1).bind("/workspace/s"))
"""
ITSELF: Final = """\
told(lambda: os.open("/dev/tty", os.O_RDWR)); print(sorted(os.listdir("/proc/self/fd"))); print(os.getresuid())
"""
NAMELESS: Final = """\
def made(place, how=os.O_RDWR): return os.open(place, os.O_TMPFILE | how, 0o640)
f = made("."); os.write(f, b"text")
print(os.pread(f, 9, 0), os.fstat(f).st_nlink, oct(os.fstat(f).st_mode), os.listdir("."))
for place in ("/etc/passwd", "/etc", "/proc", "/dev", "/no"): told(lambda: made(place))
told(lambda: made(".", os.O_RDONLY)); print(os.readlink(f"/proc/self/fd/{f}").endswith(" (deleted)"))
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[SimProvider]:
    """Machines without an executor around them."""
    made = SimProvider(SimClock(10**18))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        (RENAMES, "EINVAL\nENOTEMPTY\nENOTDIR\nNone\n['d', 'g', 'h', 'script.py'] ['f']\n"),
        (LOCKS, "EAGAIN\nNone\nEAGAIN\nNone\n"),
        (ALARM, "alarm\non\n"),
        (SIZES, "EINVAL\nEINVAL\n1048576\nEDQUOT\n0o100755\n"),
        (SOCKETS, "EPROTONOSUPPORT\nESOCKTNOSUPPORT\nEAFNOSUPPORT\nEAFNOSUPPORT\n/workspace/s\nEADDRINUSE\n"),
        (NAMELESS, "b'text' 0 0o100640 ['script.py']\nENOTDIR\nEROFS\nEACCES\nEACCES\nENOENT\nEINVAL\nTrue\n"),
        (ITSELF, "ENXIO\n['0', '1', '2', '3']\n(1000, 1000, 1000)\n"),
    ],
    ids=["renames", "locks", "alarm", "sizes", "sockets", "nameless", "itself"],
)
def test_a_program_sees_what_it_sees_on_a_machine(provider: SimProvider, script: str, seen: str) -> None:
    """Values and errors as an emulated guest gave them."""
    finished, said = run(provider, "python3", "/workspace/script.py", script=TOLD + script)
    assert (said, finished.exit_code) == (seen, 0)


@pytest.mark.parametrize(
    ("line", "ended", "seen"),
    [
        (": < /no; echo on", 2, "sh: 1: cannot open /no: No such file\n"),
        ("ln -s a b; ln -s b a; ls -l a | wc -l", 0, "1\n"),
    ],
)
def test_the_shell_ends_as_dash_does(provider: SimProvider, line: str, ended: int, seen: str) -> None:
    """A special builtin's redirection ends it; ls -l looks at a link itself."""
    finished, said = run(provider, "sh", "-c", line)
    assert (finished.exit_code, said) == (ended, seen)


@pytest.mark.parametrize("line", ["alias a=b; a", "set -v; echo", "sleep 1 & jobs", "trap : HUP; wait"])
def test_what_the_shell_does_not_model_is_said(provider: SimProvider, line: str) -> None:
    """Taken for something else, it would end differently from a real one without a word."""
    assert "CORDON-UNMODELLED" in run(provider, "sh", "-c", line)[1]
