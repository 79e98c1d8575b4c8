"""The modules with effects, besides `ctypes`, over the model."""

from models import posix
from models.clocks import time_module
from models.descriptors import fcntl_module, mmap_module
from models.polling import select_module
from models.processes import resource_module, subprocess_module
from models.signals import signal_module
from models.sockets import socket_module
from models.users import grp_module, pwd_module

MADE = {
    "posix": posix.module, "select": select_module, "_socket": socket_module, "fcntl": fcntl_module,
    "resource": resource_module, "mmap": mmap_module, "time": time_module, "_signal": signal_module,
    "_posixsubprocess": subprocess_module, "pwd": pwd_module, "grp": grp_module,
}  # fmt: skip
"""Name of a module -> what makes it."""
