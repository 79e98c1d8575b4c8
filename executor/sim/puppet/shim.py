"""Stands between a puppet's Python and the kernel: `posix`, `_socket`, `select`, `ctypes` ... ask the model instead.

What Python's library builds on top of those (os, io, subprocess, pathlib, tempfile ...) is loaded anew over them, so a
guest's program runs unchanged and every effect it has is a message to the model.
"""

import ctypes
import errno as _errno
import importlib
import importlib.machinery
import json
import posix as real
import signal as real_signal
import struct
import sys
import time as real_time
import types

import wire

import mmap as real_mmap

PRELOADED = (
    "os", "io", "stat", "posixpath", "genericpath", "pathlib", "subprocess", "tempfile", "shutil", "socket", "selectors",
    "signal", "struct", "json", "re", "errno", "ctypes", "ctypes.util", "contextlib", "dataclasses", "collections",
    "functools", "itertools", "math", "random", "hashlib", "base64", "binascii", "string", "textwrap", "traceback",
    "typing", "enum", "datetime", "time", "unittest", "importlib", "importlib.util", "importlib.machinery", "argparse",
    "glob", "fnmatch", "threading", "queue", "uuid", "platform", "pwd", "grp", "zlib", "gzip", "array", "copy", "types",
    "operator", "warnings", "weakref", "urllib.request", "urllib.parse", "urllib.error", "http.client", "ipaddress",
    "csv", "statistics", "secrets", "hmac", "decimal", "fractions", "bisect", "heapq", "shlex", "getpass", "linecache",
    "tokenize", "inspect", "pprint", "difflib", "calendar", "locale", "codecs", "abc", "ast", "dis", "pickle", "zipfile",
    "tarfile", "ssl", "logging", "select", "fcntl", "resource", "mmap", "ftplib", "xml.etree.ElementTree", "html",
    "__future__", "numbers", "keyword", "token", "sysconfig", "runpy", "py_compile", "compileall", "atexit", "gc",
    "encodings.idna", "encodings.utf_32_le", "encodings.utf_32", "encodings.utf_16", "encodings.utf_16_le",
    "encodings.unicode_escape", "encodings.raw_unicode_escape", "encodings.hex_codec", "encodings.rot_13", "encodings.latin_1", "encodings.ascii", "encodings.cp437", "stringprep", "_strptime", "pkgutil",
)  # fmt: skip
"""What a guest's program may import of Python's library."""
KEPT = frozenset({"sys", "builtins", "_frozen_importlib", "_frozen_importlib_external", "_imp", "marshal", "_thread",
                  "_weakref", "_warnings", "_io", "__main__", "encodings", "codecs", "encodings.aliases",
                  "encodings.utf_8", "_codecs", "_abc", "abc", "time", "zipimport"})  # fmt: skip
"""Modules that are there in every Python before a program begins."""
LIBRARY = "/usr/lib/python3.11"
failed = {}
"""What could not be loaded over the model, and why: importing it is unmodelled."""
stash = {}
"""Name -> module of the library, handed out at import."""


class Unmodelled(BaseException):
    """Something the simulator has no answer to; ends the puppet and makes the scenario UNMEASURED."""


class Channel:
    """The puppet's one line to the model. One message is under way at a time, so a read never takes more than one."""

    fd = -1

    def send(self, value):
        data = wire.packed(value)
        sent = real.write(self.fd, data)
        while sent < len(data):
            sent += real.write(self.fd, memoryview(data)[sent:])

    def receive(self):
        _, body = wire.whole(wire.ANSWER, self._more(wire.USUAL), self._more)
        return wire.answer(body)

    def _more(self, most):
        """What has come; without the model there is nothing to live for."""
        return real.read(self.fd, most) or real._exit(0)


line = Channel()
handlers = {}
"""Signal -> what the guest's program wants called."""


opened = set()
"""Descriptors that `open` gave and nothing but reading and writing has happened since: closing one cannot fail."""
left = []
"""Those of them that were closed: the model hears of it with the next call, before which nobody else runs."""
HARMLESS = frozenset({
    "open", "read", "write", "pread", "pwrite", "lseek", "fstat", "stat", "access", "readlink", "listdir", "mkdir", "rmdir",
    "unlink", "rename", "chmod", "truncate", "getcwd", "getpid", "getppid", "clock", "sleep",
})  # fmt: skip
"""Calls that give descriptors no other meaning."""


def call(name, *arguments):
    """Ask the model; raises the OSError it answers with."""
    global left
    if name not in HARMLESS:
        opened.clear()
    if left:
        line.send(["closed", left, name, *arguments])
        left = []
    else:
        line.send([name, *arguments])
    return answer()


def close(fd):
    """close: where it cannot fail it takes no message of its own."""
    if fd in opened:
        opened.discard(fd)
        left.append(fd)
    else:
        call("close", fd)


def answer():
    """The model's answer to what was asked last, doing what it orders meanwhile."""
    while True:
        said = line.receive()
        kind = said[0]
        if kind == "ok":
            return said[1]
        if kind == "error":
            raise OSError(said[1], real.strerror(said[1]))
        if kind == "signal":
            handle(said[1])
            settle()
            line.send(["resume"])
        elif kind == "peek":
            line.send(["peeked", ctypes.string_at(said[1], said[2])])
        elif kind == "poke":
            ctypes.memmove(said[1], said[2], len(said[2]))
            line.send(["poked"])
        else:
            real._exit(0)


def settle():
    """Tell the model of what was closed, before a call goes on that may wait for long."""
    while left:
        line.send(["close", left.pop()])
        answer()


def handle(number):
    wanted = handlers.get(number)
    if callable(wanted):
        wanted(number, None)
    elif number == 2:
        raise KeyboardInterrupt


def named(name, path, *arguments):
    """A call about a path: the error names it, as the kernel's own would."""
    try:
        return call(name, *arguments)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def fork():
    """Two of this process: the model agrees, then the real one splits, each half with a line of its own."""
    call("fork")
    ours, theirs = _raw.socketpair(1, 1, 0)
    pid = real.fork()
    if pid == 0:
        real.close(line.fd)
        theirs.close()
        line.fd = ours.detach()
        return answer()
    _raw_send(line.fd, struct.pack("<q", pid), theirs.fileno())
    ours.close()
    theirs.close()
    return answer()


def _raw_send(fd, data, handle):
    sock = _raw.socket(1, 1, 0, fd)
    try:
        sock.sendmsg([data], [(1, 1, struct.pack("<i", handle))])
    finally:
        sock.detach()


_raw = None


def load(raw_socket):
    """Load the library over the model; called once, before anything is given up."""
    global _raw
    _raw = raw_socket
    import model_ctypes
    import models

    before = dict(sys.modules)
    made = {name: make() for name, make in models.MADE.items()}
    own = {"shim", "wire", "models", "model_ctypes", "zygote", "__main__"}
    for name in list(sys.modules):
        if name not in KEPT and name.partition(".")[0] not in own and not name.startswith(("_frozen", "encodings")):
            del sys.modules[name]
    for name in ("io", "_io", "time"):
        sys.modules.pop(name, None)
    sys.modules.update(made)
    sys.modules["_io"] = before["_io"]
    import _pyio

    sys.modules["io"] = pyio = types.ModuleType("io")
    original = before["_io"]
    for name in dir(_pyio):
        if not name.startswith("__"):
            setattr(pyio, name, getattr(_pyio, name))
    for name in ("StringIO", "BytesIO", "IncrementalNewlineDecoder", "text_encoding", "DEFAULT_BUFFER_SIZE"):
        setattr(pyio, name, getattr(original, name))
    pyio.open_code = lambda path: _pyio.open(path, "rb")
    for name in PRELOADED:
        try:
            importlib.import_module(name)
        except (Exception, Unmodelled) as error:
            failed[name] = error
    stdlib = {name: module for name, module in sys.modules.items() if name.partition(".")[0] not in own}
    model_ctypes.patch(stdlib["ctypes"])
    stash.update(stdlib)
    import applets
    import shell

    programs.update(applets.PROGRAMS)
    programs.update(shell.PROGRAMS)
    programs.update({name: run_python for name in ("python3.11", "python3", "python")})
    for name in list(sys.modules):
        if name.startswith("encodings"):
            continue
        if name in stash and name not in KEPT and name not in {"io", "os", "posix", "stat", "posixpath", "os.path", "_io"}:
            del sys.modules[name]
    for name in list(sys.modules):
        if name.partition(".")[0] in {*own, "applets", "shell"} - {"__main__"}:
            del sys.modules[name]  # a guest's program may have modules of these names
    sys.meta_path[:] = [Library, Guest]
    import builtins

    builtins.open = _pyio.open
    sys.path_importer_cache.clear()
    external = importlib.machinery.SourceFileLoader.__init__.__globals__
    external["_os"], external["_io"] = made["posix"], pyio
    sys.dont_write_bytecode = False


programs = {}
"""Name of a program -> what runs it."""


class Library:
    """Modules that Python brings along without a file: built in or frozen."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in sys.builtin_module_names and name in stash:
            return importlib.machinery.ModuleSpec(name, Stashed)
        return None


class Stashed:
    """Hands out a module that was loaded before the puppet was confined."""

    @staticmethod
    def create_module(spec):
        module = stash[spec.name]
        needed(module)
        return module

    @staticmethod
    def exec_module(module):
        pass


def needed(module):
    """What `module` imported when it was loaded is there with it."""
    for value in list(vars(module).values()):
        if isinstance(value, types.ModuleType) and stash.get(value.__name__) is value:
            if value.__name__ not in sys.modules:
                sys.modules[value.__name__] = value
                needed(value)


class Guest:
    """Modules along sys.path: the guest's own files, and the library where its folder stands in the path."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        leaf = name.rpartition(".")[2]
        parent = name.rpartition(".")[0]
        if parent == "encodings" and name not in stash:
            return None
        if parent in stash and name in stash:
            return importlib.machinery.ModuleSpec(name, Stashed)
        for entry in list(path) if path is not None else list(sys.path):
            if entry == LIBRARY:
                if name in stash:
                    return importlib.machinery.ModuleSpec(name, Stashed)
                continue
            base = f"{entry or '.'}/{leaf}"
            for file, package in ((f"{base}/__init__.py", True), (f"{base}.py", False)):
                try:
                    text = whole(file)
                except OSError:
                    continue
                spec = importlib.machinery.ModuleSpec(name, Source(file, text), origin=file, is_package=package)
                if package:
                    spec.submodule_search_locations = [base]
                spec.has_location = True
                return spec
        if name in real_names:
            raise Unmodelled(f"import of {name}")
        return None


real_names = frozenset(sys.stdlib_module_names) - frozenset({"_winapi", "winreg", "msvcrt", "nt", "_overlapped"})


class Source:
    """Runs a module of the guest's from its text."""

    def __init__(self, file, text):
        self.file, self.text = file, text

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.text, self.file, "exec"), module.__dict__)


def whole(path):
    """A guest file's bytes."""
    os = stash["os"]
    handle = os.open(path, os.O_RDONLY)
    try:
        parts = b""
        while piece := os.read(handle, 65536):
            parts += piece
        return parts
    finally:
        os.close(handle)


def become(fd, raw):
    """Run the program of an order until it ends; this process is a puppet from here on."""
    line.fd = fd
    try:
        _become(raw)
    except BaseException as error:
        frames, at = [], error.__traceback__
        while at is not None:
            frames.append(f"{at.tb_frame.f_code.co_filename.rpartition('/')[2]}:{at.tb_lineno}")
            at = at.tb_next
        where = " ".join(frames[-4:])
        say_unmodelled(f"a mistake of the simulator's own: {type(error).__name__}: {error} at {where}")


def _become(raw):
    order = json.loads(raw)
    posix = stash["posix"]
    sys.path[:] = [LIBRARY]
    posix.environ.clear()  # the very mapping that os.environ is a view of
    posix.environ.update({name.encode(): value.encode("utf-8", "surrogateescape") for name, value in order["env"]})
    io = sys.modules["io"]
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        raw_file = io.FileIO.__new__(io.FileIO)
        raw_file._fd, raw_file._closefd, raw_file._seekable = number, False, False
        raw_file._created = raw_file._appending = False
        raw_file._readable, raw_file._writable = mode == "r", mode == "w"
        raw_file._blksize = 8192
        raw_file.mode_name = mode
        raw_file.name = f"<{name}>"
        buffered = io.BufferedReader(raw_file) if mode == "r" else io.BufferedWriter(raw_file)
        text = io.TextIOWrapper(
            buffered, encoding="utf-8", errors="backslashreplace" if number == 2 else "surrogateescape",
            line_buffering=number == 2,
        )  # fmt: skip
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    code = 0
    try:
        code = programs[order["program"]](order["argv"])
    except SystemExit as stop:
        code = exit_code(stop)
    except Unmodelled as what:
        say_unmodelled(str(what))
    except KeyboardInterrupt:
        call("die", 2)
    except BrokenPipeError:
        code = 1
    except BaseException as error:
        traceback = stash["traceback"]
        try:
            traceback.print_exception(type(error), error, error.__traceback__)
        except BaseException:
            call("exit", 1)
        code = 1
    finish(code)


def exit_code(stop):
    """What a SystemExit means for the kernel."""
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code
    sys.stderr.write(f"{stop.code}\n")
    return 1


def say_unmodelled(what):
    line.send(["unmodelled", what])
    answer()


def finish(code):
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Unmodelled as what:
            say_unmodelled(str(what))
        except (OSError, ValueError):
            code = code or 120
    call("exit", (code or 0) & 0xFF)
    real._exit(0)


def run_python(argv):
    """python3: -c, a file, or -m unittest; with the options that change where modules come from."""
    arguments = list(argv[1:])
    os = stash["os"]
    environment, safe, isolated = True, bool(os.environ.get("PYTHONSAFEPATH")), False
    while arguments and arguments[0].startswith("-") and arguments[0] not in {"-", "-c", "-m"}:
        flag = arguments.pop(0)
        if flag in {"-W", "-X"}:
            arguments.pop(0)
        elif flag in {"-V", "--version"}:
            print("Python 3.11.2")
            return 0
        elif set(flag[1:]) <= set("IBPESsuqOvdi") and not flag.startswith("--"):
            sys.dont_write_bytecode |= "B" in flag
            isolated |= "I" in flag
            safe |= "P" in flag or "I" in flag
            environment &= not set(flag) & {"I", "E"}
        else:
            raise Unmodelled(f"python3 {flag}")
    path = ["/usr/lib/python311.zip", LIBRARY, f"{LIBRARY}/lib-dynload"]
    if environment and os.environ.get("PYTHONPATH"):
        path[:0] = os.environ["PYTHONPATH"].split(":")
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.orig_argv, sys.executable = list(argv), "/usr/bin/python3"
    if not arguments or arguments[0] == "-":
        text, name, first = sys.stdin.read(), "<stdin>", ""
        sys.argv = arguments or [""]
    elif arguments[0] == "-c":
        text, name, first = arguments[1], "<string>", ""
        sys.argv = ["-c", *arguments[2:]]
    elif arguments[0] == "-m":
        raise Unmodelled(f"python3 -m {' '.join(arguments[1:2])}")
    else:
        name = arguments[0]
        sys.argv = arguments
        try:
            text = whole(name)
        except OSError as error:
            sys.stderr.write(
                f"{argv[0]}: can't open file {os.path.abspath(name)!r}: [Errno {error.errno}] {error.strerror}\n"
            )
            return 2
        main.__file__ = name
        first = os.path.dirname(os.path.realpath(name))
    sys.path[:] = path if safe else [first, *path]
    main.__builtins__ = sys.modules["builtins"]
    try:
        code = compile(text, name, "exec")
    except SyntaxError as error:
        sys.stderr.write("".join(stash["traceback"].format_exception_only(type(error), error)))
        return 1
    try:
        exec(code, main.__dict__)
    finally:
        atexit = stash.get("atexit")
        if atexit is not None:
            atexit._run_exitfuncs()
    return 0
