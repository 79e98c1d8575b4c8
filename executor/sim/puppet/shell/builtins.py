"""Commands that the shell does itself, by a table."""

import os
import resource
import signal

from applets import content, find_program, put
from shell.tokens import Word
from shim import Unmodelled

BUILTINS = {}
"""Name -> what does it, given the shell and the words."""
INNER = {"echo", "printf", "true", "false", "test", "[", "pwd", "kill"}
"""Applets a shell has built in."""


def builtin(*names):
    """Registers a builtin under its names."""

    def register(function):
        BUILTINS.update(dict.fromkeys(names, function))
        return function

    return register


class Leave(Exception):
    """break and continue."""

    def __init__(self, kind):
        super().__init__(kind)
        self.kind = kind


def code_of(status):
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


@builtin(":")
def colon_(shell, _argv):
    return 0


@builtin("cd")
def cd_(shell, argv):
    try:
        os.chdir(argv[1] if len(argv) > 1 else shell.variables.get("HOME", "/"))
    except OSError as error:
        os.write(2, f"{shell.name}: 1: cd: can't cd to {argv[1]}\n".encode())
        return 2 if error.errno else 1
    shell.variables["PWD"] = os.getcwd()
    return 0


@builtin("exit")
def exit_(shell, argv):
    raise SystemExit(int(argv[1]) & 255 if len(argv) > 1 else shell.last)


@builtin("readonly")
def readonly_(shell, argv):
    raise Unmodelled("the shell's readonly")


@builtin("export")
def export_(shell, argv):
    for one in argv[1:]:
        name, equals, value = one.partition("=")
        if equals:
            shell.variables[name] = value
        shell.exported.add(name)
    return 0


@builtin("unset")
def unset_(shell, argv):
    for name in argv[1:]:
        shell.variables.pop(name, None)
    return 0


@builtin("set")
def set_(shell, argv):
    for one in argv[1:]:
        if one in {"-e", "+e", "+u", "-x", "+x", "-ex"}:
            shell.stop = one.startswith("-") if "e" in one else shell.stop
            shell.trace = one.startswith("-") if "x" in one else shell.trace
        else:
            raise Unmodelled(f"set {one}")
    return 0


@builtin("exec")
def exec_(shell, argv):
    raise SystemExit(shell.execute(argv[1:], {}))


@builtin("wait")
def wait_(shell, argv):
    code = 0
    try:
        if len(argv) > 1:
            for one in argv[1:]:
                code = code_of(os.waitpid(int(one), 0)[1])
            return code
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return code


@builtin("umask")
def umask_(shell, argv):
    if len(argv) == 1:
        now = os.umask(0)
        os.umask(now)
        put(f"{now:04o}\n")
    else:
        os.umask(int(argv[1], 8))
    return 0


@builtin("ulimit")
def ulimit_(shell, argv):
    kinds = {"-n": (7, 1), "-f": (1, 512), "-c": (4, 512), "-u": (6, 1), "-v": (9, 1024), "-s": (3, 1024)}
    hard = "-H" in argv
    words = [one for one in argv[1:] if one not in {"-H", "-S"}] or ["-f"]
    if words[0] not in kinds:
        raise Unmodelled(f"ulimit {words[0]}")
    kind, unit = kinds[words[0]]
    soft, top = resource.getrlimit(kind)
    if len(words) == 1:
        value = top if hard else soft
        put("unlimited\n" if value < 0 or value >= 1 << 62 else f"{value // unit}\n")
        return 0
    value = resource.RLIM_INFINITY if words[1] == "unlimited" else int(words[1]) * unit
    try:
        resource.setrlimit(kind, (value, value))
    except (OSError, ValueError):
        os.write(2, f"{shell.name}: 1: ulimit: error setting limit (Operation not permitted)\n".encode())
        return 2
    return 0


@builtin("trap")
def trap_(shell, argv):
    if len(argv) > 2 and argv[1] == "":
        for name in argv[2:]:
            number = int(name) if name.isdecimal() else getattr(signal, f"SIG{name.removeprefix('SIG')}")
            signal.signal(number, signal.SIG_IGN)
        return 0
    raise Unmodelled("trap with an action")


@builtin("read")
def read_(shell, argv):
    names = [one for one in argv[1:] if not one.startswith("-")] or ["REPLY"]
    text, ended = b"", True
    while char := os.read(0, 1):
        if char == b"\n":
            ended = False
            break
        text += char
    fields = text.decode("utf-8", "surrogateescape").split(None, len(names) - 1)
    for number, name in enumerate(names):
        shell.variables[name] = fields[number].strip() if number < len(fields) else ""
    return int(ended)


@builtin("shift")
def shift_(shell, argv):
    del shell.arguments[: int(argv[1]) if len(argv) > 1 else 1]
    return 0


@builtin("break")
def break_(shell, _argv):
    raise Leave("break")


@builtin("continue")
def continue_(shell, _argv):
    raise Leave("continue")


@builtin("command")
def command_(shell, argv):
    if argv[1:2] == ["-v"]:
        name = argv[2]
        if name in BUILTINS or name in INNER:
            put(name + "\n")
            return 0
        for path in find_program(name, shell.variables.get("PATH")):
            if os.access(path, os.X_OK):
                put(path + "\n")
                return 0
        return 127
    return shell.on_simple([Word(f"'{one}'") for one in argv[1:]], [])


@builtin(".")
def dot_(shell, argv):
    try:
        return shell.run_text(content(argv[1]).decode())
    except OSError as error:
        os.write(2, f"{shell.name}: 1: .: {argv[1]}: {error.strerror}\n".encode())
        raise SystemExit(2) from None


@builtin("eval")
def eval_(shell, argv):
    return shell.run_text(" ".join(argv[1:]))
