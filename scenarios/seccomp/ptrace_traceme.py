"""Asks to be traced: ptrace(PTRACE_TRACEME), answered with SIGSYS. Run with `harmless` it does not ask."""

import ctypes
import errno
import sys

PTRACE_TRACEME = 0

if "harmless" in sys.argv:
    print("CORDON-PROBE fine")
    sys.exit(0)
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(PTRACE_TRACEME, 0, None, None) == 0:
    print("CORDON-PROBE escaped")
else:
    print(f"CORDON-PROBE errno={errno.errorcode[ctypes.get_errno()]}")
