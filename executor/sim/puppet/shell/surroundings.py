"""Builtins about the process: its folder, its limits, its mask, other processes."""

import os
import posixpath
import resource
import signal

from applets import put
from shell.expansion import ShellError
from shell.registry import builtin
from shim import Unmodelled

LIMITS = {
    "t": ("time(seconds)", 0, 1), "f": ("file(blocks)", 1, 512), "d": ("data(kbytes)", 2, 1024),
    "s": ("stack(kbytes)", 3, 1024), "c": ("coredump(blocks)", 4, 512), "m": ("memory(kbytes)", 5, 1024),
    "l": ("locked memory(kbytes)", 8, 1024), "p": ("process", 6, 1), "n": ("nofiles", 7, 1),
    "v": ("vmemory(kbytes)", 9, 1024), "w": ("locks", 10, 1), "r": ("rtprio", 14, 1),
}  # fmt: skip
"""Letter -> what dash calls it, the kernel's number, bytes or pieces in one."""


@builtin("cd")
def cd(shell, argv):
    words, physical = argv[1:], False
    while words and words[0] in {"-P", "-L", "--"}:
        physical = words.pop(0) == "-P"
    target = words[0] if words else shell.variables.get("HOME", "")
    before = shell.variables.get("PWD", "")
    shown = target == "-"
    target = shell.variables.get("OLDPWD", before) if shown else target
    place = posixpath.normpath(posixpath.join(before or os.getcwd(), target))
    try:
        os.chdir(target if physical else place)
    except OSError:
        shell.say(f"can't cd to {target}")
        return 2
    shell.put("OLDPWD", before)
    shell.put("PWD", os.getcwd() if physical else place)
    if shown:
        put(place + "\n")
    return 0


@builtin("pwd")
def pwd(shell, argv):
    put((os.getcwd() if argv[1:] == ["-P"] else shell.variables.get("PWD") or os.getcwd()) + "\n")
    return 0


@builtin("umask")
def umask(_shell, argv):
    if len(argv) == 1:
        now = os.umask(0)
        os.umask(now)
        put(f"{now:04o}\n")
    elif argv[1].isdecimal():
        os.umask(int(argv[1], 8))
    else:
        raise Unmodelled(f"umask {argv[1]}")
    return 0


@builtin("ulimit")
def ulimit(shell, argv):
    words, hard, soft, letter = argv[1:], True, True, "f"
    reading = not words or words[-1].startswith("-")
    while words and words[0].startswith("-"):
        for one in words.pop(0)[1:]:
            if one in "HS":
                hard, soft = one == "H", one == "S"
            elif one in LIMITS or one == "a":
                letter = one
            else:
                raise ShellError(f"Illegal option -{one}")
    if letter == "a":
        put("".join(f"{LIMITS[one][0]:<20} {limit(one, hard=not soft)}\n" for one in LIMITS))
    elif reading:
        put(limit(letter, hard=not soft) + "\n")
    else:
        if not words[0].isdecimal() and words[0] != "unlimited":
            raise ShellError("bad number")
        _, kind, unit = LIMITS[letter]
        value = resource.RLIM_INFINITY if words[0] == "unlimited" else int(words[0]) * unit
        now = resource.getrlimit(kind)
        try:
            resource.setrlimit(kind, (value if soft else now[0], value if hard else now[1]))
        except (OSError, ValueError) as error:
            known = {"not allowed to raise maximum limit": "Operation not permitted"}
            words = known.get(str(error), "Invalid argument") if isinstance(error, ValueError) else error.strerror
            raise ShellError(f"error setting limit ({words})") from None
    return 0


def limit(letter, *, hard):
    _, kind, unit = LIMITS[letter]
    value = resource.getrlimit(kind)[hard]
    return "unlimited" if value < 0 or value >= 1 << 62 else str(value // unit)


@builtin("kill")
def kill(shell, argv):
    words, name = argv[1:], "TERM"
    if words[:1] == ["-l"] and len(words) == 2:
        put(signal.Signals(int(words[1]) & 127).name[3:] + "\n")
        return 0
    if words[:1] == ["-l"]:
        raise Unmodelled("kill -l")
    if words and words[0].startswith("-") and words[0] != "--":
        name = words.pop(0)[1:]
        name = words.pop(0) if name == "s" else name
    words = words[1:] if words[:1] == ["--"] else words
    try:
        number = int(name) if name.isdecimal() else signal.Signals[f"SIG{name.removeprefix('SIG')}"]
    except KeyError:
        raise ShellError(f"invalid signal number or name: {name}") from None
    code = 0
    for word in words:
        if not word.removeprefix("-").isdecimal():
            raise Unmodelled(f"kill {word}")
        try:
            os.kill(int(word), number)
        except OSError as error:
            shell.say(f"{error.strerror}\n")
            code = 1
    if shell.traps:
        os.getppid()  # what it sent to itself has come before the next command
    return code
