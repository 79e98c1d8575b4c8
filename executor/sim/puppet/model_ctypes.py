"""The C library as a guest's program reaches it by ctypes: every call that has an effect is the model's."""

import builtins
import ctypes
import errno
import types

import shim
from shim import Unmodelled, call, line

PASSED = {
    "mount": (165, 5), "umount": (166, 1), "umount2": (166, 2), "ptrace": (101, 4), "prctl": (157, 5),
    "unshare": (272, 1), "setns": (308, 2), "sethostname": (170, 2), "chroot": (161, 1), "personality": (135, 1),
    "mlock": (149, 2), "munlock": (150, 2), "iopl": (172, 1), "ioperm": (173, 3), "acct": (163, 1), "reboot": (169, 4),
    "init_module": (175, 3), "delete_module": (176, 2), "swapon": (167, 2), "swapoff": (168, 1), "keyctl": (250, 5),
    "add_key": (248, 5), "request_key": (249, 4), "fstatfs": (138, 2), "statfs": (137, 2), "getpid": (39, 0),
    "getuid": (102, 0), "geteuid": (107, 0), "kill": (62, 2), "setuid": (105, 1), "setgid": (106, 1), "pause": (34, 0),
    "memfd_create": (319, 2), "syncfs": (306, 1), "vhangup": (153, 0), "getppid": (110, 0), "fork": (57, 0),
    "renameat2": (316, 5), "setrlimit": (160, 2), "tgkill": (234, 3),
}  # fmt: skip
"""Function -> number of its system call, and how many arguments count."""

mappings = {}
"""Address -> memory that the guest's program mapped."""


def value_of(argument):
    """An argument as the model gets it: a number, or memory with its address."""
    if argument is None:
        return 0
    if isinstance(argument, int):
        return argument
    if isinstance(argument, bytes):
        return {"bytes": argument, "at": 0}
    if isinstance(argument, str):
        return {"bytes": argument.encode("utf-32-le"), "at": 0}
    if isinstance(argument, (ctypes.Array, ctypes.Structure, ctypes.Union)):
        return {"bytes": bytes(argument), "at": ctypes.addressof(argument)}
    if hasattr(argument, "_obj"):  # byref
        return {"bytes": bytes(argument._obj), "at": ctypes.addressof(argument._obj)}
    if isinstance(argument, ctypes._Pointer):
        if not argument:
            return 0
        inner = argument.contents
        return {"bytes": bytes(inner), "at": ctypes.addressof(inner)}
    inner = getattr(argument, "value", argument)
    if isinstance(inner, bytes):
        return {"bytes": inner + b"\0", "at": 0}
    if inner is None:
        return 0
    if isinstance(inner, int):
        return inner
    raise Unmodelled(f"an argument of {type(argument).__name__} for the C library")


def syscall(number, *arguments):
    """One system call by its number; -1 and errno when it fails."""
    passed = [value_of(one) for one in arguments]
    try:
        raw = call("syscall", number, passed)
    except OSError as error:
        ctypes.set_errno(error.errno)
        return -1
    for address, data in raw.get("out", ()):
        ctypes.memmove(address, data, len(data))
    if raw.get("forked"):
        return fork_by_number()
    return raw["ret"]


def fork_by_number():
    """clone or fork by number: the model has said that it may."""
    return shim.fork()


def machine_code(address):
    """What the code at `address` returns, as far as it only loads constants and asks the i386 entry."""
    for start, memory in mappings.items():
        if start <= address < start + len(memory):
            code = bytes(memory)[address - start :]
            break
    else:
        raise Unmodelled("a call into memory the program did not map")
    at, accumulator = 0, 0
    while True:
        op = code[at]
        if op == 0xB8:
            accumulator = int.from_bytes(code[at + 1 : at + 5], "little")
            at += 5
        elif op in {0x53, 0x5B, 0x90}:
            at += 1
        elif code[at : at + 2] == b"\xcd\x80":
            accumulator = call("interrupt", accumulator)
            at += 2
        elif op == 0xC3:
            return accumulator
        else:
            raise Unmodelled("machine code")


class Function:
    """One function of the C library."""

    def __init__(self, name):
        self.__name__ = name
        self.restype, self.argtypes, self.errcheck = ctypes.c_int, None, None

    def __call__(self, *arguments):
        name = self.__name__
        if name == "syscall":
            return syscall(int(getattr(arguments[0], "value", arguments[0])), *arguments[1:])
        if name in PASSED:
            number, count = PASSED[name]
            return syscall(number, *arguments[:count])
        if name == "mmap":
            return self._mmap(*arguments)
        if name in {"getauxval", "gnu_get_libc_version"}:
            raise Unmodelled(f"the C library's {name}")
        if name in {"memset", "strlen", "memcmp", "abs", "labs", "toupper", "tolower", "atoi"}:
            return getattr(_real, name)(*arguments)
        raise Unmodelled(f"the C library's {name}")

    @staticmethod
    def _mmap(address, length, protection, flags, fd, offset):
        size = value_of(length)
        handle = value_of(fd)
        if handle & 0xFFFFFFFF != 0xFFFFFFFF:
            raise Unmodelled("mmap of a file")
        raw = syscall(9, address, size, value_of(protection), value_of(flags), -1, value_of(offset))
        if raw == -1:
            return -1 & (1 << 64) - 1
        area = ctypes.create_string_buffer(size)
        where = ctypes.addressof(area)
        mappings[where] = area
        return where


class Library:
    """`ctypes.CDLL(None)`: the C library, whatever name it is asked by."""

    def __init__(self, name=None, *_arguments, **_options):
        if name not in {None, "libc.so.6", "libc.so"}:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        function = Function(name)
        setattr(self, name, function)
        return function

    __getitem__ = __getattr__


class Loader:
    """`ctypes.cdll`."""

    def LoadLibrary(self, name):
        return Library(name)

    def __getattr__(self, name):
        return Library()


_real = None


def patch(module):
    """Put the model's C library into ctypes."""
    global _real
    _real = ctypes.CDLL(None)
    prototype = module.CFUNCTYPE

    def function_type(restype, *argtypes, **flags):
        made = prototype(restype, *argtypes, **flags)

        class Callable:
            """A function pointer: calling an address runs the code there, as far as the model reads it."""

            def __new__(cls, target):
                if builtins.callable(target):
                    raise Unmodelled("a callback into Python")
                return lambda *_arguments: machine_code(target)

        Callable.made = made
        return Callable

    module.CFUNCTYPE = module.PYFUNCTYPE = function_type
    module.CDLL = module.PyDLL = Library
    module.cdll = module.pydll = Loader()
    module.pythonapi = Library()
    module.util = types.SimpleNamespace(find_library=lambda name: {"c": "libc.so.6"}.get(name))
    assert line is not None and errno.EPERM
