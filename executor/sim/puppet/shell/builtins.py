"""Builtins that steer the shell itself: loops, functions, scripts, signals, children."""

import os
import signal

from applets import content, find_program, put
from shell.expansion import ShellError
from shell.registry import BUILTINS, SPECIAL, Leave, Return, builtin, code_of
from shim import Unmodelled

SIGNALS = {str(number.value): number.name[3:] for number in signal.Signals} | {"0": "EXIT"}


def whole_number(argv, default):
    """A builtin's one number."""
    if len(argv) < 2:
        return default
    if not argv[1].isdecimal():
        raise ShellError(f"Illegal number: {argv[1]}")
    return int(argv[1])


@builtin(":", "true")
def nothing(_shell, _argv):
    return 0


@builtin("false")
def false(_shell, _argv):
    return 1


@builtin("break", "continue")
def leave(shell, argv):
    depth = whole_number(argv, 1)
    if depth < 1:
        raise ShellError(f"Illegal number: {argv[1]}")
    if shell.loops:
        raise Leave(argv[0], depth)
    return 0


@builtin("exit")
def exit_(shell, argv):
    raise SystemExit(whole_number(argv, shell.last) & 255)


@builtin("return")
def return_(shell, argv):
    raise Return(whole_number(argv, shell.last))


@builtin("exec")
def exec_(shell, argv):
    shell.traps.pop("EXIT", None)
    raise SystemExit(shell.execute(argv[1:], {}))


@builtin("eval")
def eval_(shell, argv):
    return shell.run_text(" ".join(argv[1:]), tested=shell.tested)


@builtin(".")
def dot(shell, argv):
    try:
        path = argv[1] if "/" in argv[1] else next(
            (one for one in find_program(argv[1], shell.variables.get("PATH")) if os.path.isfile(one)), None)  # fmt: skip
        if path is None:
            raise ShellError(f"{argv[1]}: not found")
        text = content(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise ShellError(f"cannot open {argv[1]}: {'No such file' if error.errno == 2 else error.strerror}") from None
    loops, shell.loops = shell.loops, 0
    try:
        return shell.run_text(text)
    except Return as back:
        return back.code
    finally:
        shell.loops = loops


@builtin("command")
def command(shell, argv):
    words = argv[1:]
    if words[:1] == ["-v"]:
        return max([located(shell, name) for name in words[1:2]], default=0)
    if words[:1] in (["-V"], ["-p"]):
        raise Unmodelled(f"command {words[0]}")
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        return 0
    return shell.command(words, [], [])


def located(shell, name):
    """Say what a name is."""
    if name in shell.functions or name in BUILTINS:
        put(name + "\n")
        return 0
    for path in find_program(name, shell.variables.get("PATH")):
        if os.access(path, os.X_OK):
            put(path + "\n")
            return 0
    return 127


@builtin("type")
def type_(shell, argv):
    code = 0
    for name in argv[1:]:
        paths = [one for one in find_program(name, shell.variables.get("PATH")) if os.access(one, os.X_OK)]
        kind = ("a shell function" if name in shell.functions else "a special shell builtin" if name in SPECIAL
                else "a shell builtin" if name in BUILTINS else paths[0] if paths else None)  # fmt: skip
        put(f"{name} is {kind}\n" if kind else f"{name}: not found\n")
        code = code if kind else 127
    return code


@builtin("trap")
def trap(shell, argv):
    words = argv[1:]
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        for name, action in shell.traps.items():
            put(f"trap -- {quoted(action)} {name}\n")
        return 0
    action = "-" if len(words) == 1 or words[0].isdecimal() else words.pop(0)
    for word in words:
        name = SIGNALS.get(word, word)
        if name not in SIGNALS.values():
            os.write(2, f"trap: {word}: bad trap\n".encode())
            return 1
        if action == "-":
            shell.traps.pop(name, None)
        else:
            shell.traps[name] = action
        if name not in {"EXIT", "KILL", "STOP"}:
            wanted = signal.SIG_DFL if action == "-" else (lambda _n, _f, name=name: shell.pending.append(name))
            signal.signal(signal.Signals[f"SIG{name}"], signal.SIG_IGN if action == "" else wanted)
    return 0


def quoted(text):
    """Text as a shell would read it."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


@builtin("wait")
def wait(shell, argv):
    if any(action and name != "EXIT" for name, action in shell.traps.items()):
        raise Unmodelled("wait under a trap")
    code = 0
    for one in argv[1:]:
        if not one.isdecimal():
            raise Unmodelled(f"wait {one}")
        try:
            code = code_of(os.waitpid(int(one), 0)[1])
        except ChildProcessError:
            code = 127
    try:
        while len(argv) == 1:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass
    return code


@builtin("alias", "bg", "fg", "getopts", "hash", "jobs", "times", "unalias", "history", "fc")
def unmodelled(_shell, argv):
    raise Unmodelled(f"the shell's {argv[0]}")
