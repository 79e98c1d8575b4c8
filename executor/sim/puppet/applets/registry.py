"""The table of programs, and what they have in common: options, files, words on standard error, execvp."""

import os
import re

from shim import Unmodelled

PROGRAMS = {}


def program(*names):
    def register(function):
        for name in names:
            PROGRAMS[name] = function
        return function

    return register


def put(text):
    """To standard output, at once and whole."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(1, data) :]


def complain(name, message):
    os.write(2, f"{name}: {message}\n".encode("utf-8", "surrogateescape"))
    return 1


def options(argv, known, valued=""):
    """Short options of `known` and `valued` (which take a value), and the rest; anything else is unmodelled."""
    found, rest, arguments = {}, [], list(argv[1:])
    while arguments:
        one = arguments.pop(0)
        if one == "--":
            rest += arguments
            break
        if one.startswith("--"):
            raise Unmodelled(f"{argv[0]} {one}")
        if not one.startswith("-") or one == "-":
            rest.append(one)
            continue
        letters = one[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in valued:
                found[letter] = letters or (arguments.pop(0) if arguments else "")
                letters = ""
            elif letter in known:
                found[letter] = True
            else:
                raise Unmodelled(f"{argv[0]} -{letter}")
    return found, rest


def content(path):
    """All of a file; `-` is standard input."""
    if path == "-":
        handle = 0
    else:
        handle = os.open(path, os.O_RDONLY)
    parts = []
    while piece := os.read(handle, 65536):
        parts.append(piece)
    if handle:
        os.close(handle)
    return b"".join(parts)


def each(name, paths, work):
    """`work` on the content of every file; the exit code."""
    code = 0
    for path in paths or ["-"]:
        try:
            work(path, content(path))
        except OSError as error:
            code = complain(name, f"{path}: {error.strerror}")
    return code


def over(name, paths, work, failed, missing="missing operand"):
    """`work` on every path, also where one has `failed`; the exit code."""
    code = 0
    for path in paths:
        try:
            work(path)
        except OSError as error:
            code = complain(name, f"{failed} '{path}': {error.strerror}")
    return code if paths else complain(name, missing)


def byte(value):
    """A byte as text that becomes that byte again when it is written."""
    return chr(value) if value < 0x80 else chr(0xDC00 + value)


def escaped(text):
    table = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\33", "\\": "\\",
             '"': '"', "'": "'"}  # fmt: skip

    def one(found):
        if found[1]:
            return byte(int(found[1], 8) & 255)
        if found[2]:
            return byte(int(found[2], 16))
        return table.get(found[3], found[0])

    return re.sub(r"\\(?:0?([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))", one, text)


def find_program(name, path):
    """The files execvp would try."""
    if "/" in name:
        return [name]
    return [f"{folder or '.'}/{name}" for folder in (path or "/usr/bin:/bin").split(":")]


def run(words, environment, name):
    """execvp: returns only when it did not work, with the exit code."""
    last = 2
    for path in find_program(words[0], environment.get("PATH", os.environ.get("PATH"))):
        try:
            os.execve(path, words, environment)
        except OSError as error:
            if error.errno in {2, 20}:
                continue
            last = error.errno
            if error.errno not in {13}:
                break
    complain(name, f"'{words[0]}': {os.strerror(last)}" if name == "env" else f"{words[0]}: {os.strerror(last)}")
    return 127 if last == 2 else 126


def started(words, name):
    """Run it in a child; its exit code."""
    pid = os.fork()
    if pid == 0:
        os._exit(run(words, dict(os.environ), name))
    status = os.waitpid(pid, 0)[1]
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def size_of(text):
    found = re.fullmatch(r"(\d+)([cwbkKMGT]?)(B?)", text.removesuffix("iB") if text.endswith("iB") else text)
    if not found:
        raise Unmodelled(f"a size of {text}")
    unit = {"": 1, "c": 1, "w": 2, "b": 512, "k": 1024, "K": 1024, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[found[2]]
    if found[3] and found[2]:
        unit = {"k": 1000, "K": 1000, "M": 10**6, "G": 10**9, "T": 10**12}.get(found[2], unit)
    return int(found[1]) * unit


def refuse(what):
    raise Unmodelled(what)
