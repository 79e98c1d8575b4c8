"""Builtins about variables, arguments and options."""

import os
import re

from applets import put
from shell.builtins import quoted, whole_number
from shell.expansion import BLANKS, ShellError
from shell.registry import builtin
from shim import Unmodelled

OPTIONS = {"errexit": "e", "noglob": "f", "nounset": "u", "xtrace": "x", "noclobber": "C", "allexport": "a"}
"""What `set -o` calls them, for those that are modelled."""
IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@builtin("export", "readonly", "local")
def declare(shell, argv):
    words = argv[1:]
    if words[:1] == ["-p"] or (not words and argv[0] != "local"):
        named = shell.exported if argv[0] == "export" else shell.constant
        for name in sorted(named):
            value = shell.variables.get(name)
            put(f"{argv[0]} {name}" + (f"={quoted(value)}" if value is not None else "") + "\n")
        return 0
    if argv[0] == "local" and not shell.locals:
        raise ShellError("not in a function")
    for one in words:
        name, equals, value = one.partition("=")
        if not IDENTIFIER.fullmatch(name):
            raise ShellError(f"{one}: bad variable name")
        if argv[0] == "local":
            shell.keep(name)
        if equals:
            shell.put(name, value)
        if argv[0] == "export":
            shell.exported.add(name)
        elif argv[0] == "readonly":
            shell.constant.add(name)
    return 0


@builtin("unset")
def unset(shell, argv):
    words, functions = argv[1:], False
    while words and words[0] in {"-f", "-v"}:
        functions = words.pop(0) == "-f"
    for name in words:
        if functions:
            shell.functions.pop(name, None)
            continue
        if name in shell.constant:
            raise ShellError(f"{name}: is read only")
        shell.variables.pop(name, None)
        shell.exported.discard(name)
    return 0


@builtin("set")
def set_(shell, argv):
    words = argv[1:]
    if not words:
        put("".join(f"{name}={quoted(value)}\n" for name, value in sorted(shell.variables.items())))
        return 0
    while words and words[0][:1] in {"-", "+"} and len(words[0]) > 1:
        one = words.pop(0)
        if one == "--":
            shell.arguments = words
            return 0
        change = shell.options.add if one[0] == "-" else shell.options.discard
        for letter in one[1:]:
            name = words.pop(0) if letter == "o" and words else letter
            letter = OPTIONS.get(name, name)
            if letter not in OPTIONS.values():
                raise Unmodelled(f"set {one}")
            change(letter)
    if words:
        shell.arguments = words
    return 0


@builtin("shift")
def shift(shell, argv):
    count = whole_number(argv, 1)
    if count > len(shell.arguments):
        raise ShellError("can't shift that many")
    shell.arguments = shell.arguments[count:]
    return 0


@builtin("read")
def read(shell, argv):
    words, raw = argv[1:], False
    while words and words[0].startswith("-") and len(words[0]) > 1:
        flag = words.pop(0)
        if flag == "-p":
            os.write(2, words.pop(0).encode())
        elif flag == "-r":
            raw = True
        else:
            raise ShellError(f"Illegal option {flag}")
    if not words:
        raise ShellError("arg count")
    pieces, ended = line(raw)
    for name, value in zip(words, portions(pieces, shell.variables.get("IFS", BLANKS), len(words)), strict=True):
        if not IDENTIFIER.fullmatch(name):
            raise ShellError(f"{name}: bad variable name")
        shell.put(name, value)
    return int(ended)


def line(raw):
    """(character, whether IFS may take it) of a line of standard input, and whether the input ended in it."""
    pieces = []
    while True:
        found, ended = row()
        slash = False
        for char in found.decode("utf-8", "surrogateescape"):
            if slash or raw or char != "\\":
                pieces.append((char, not slash))
                slash = False
            else:
                slash = True
        if ended or not slash:
            return pieces, ended


def row():
    """A line of standard input without its end, and whether the input ended: nothing beyond it is read."""
    try:
        at = os.lseek(0, 0, os.SEEK_CUR)
    except OSError:
        at = None
    text = b""
    while piece := os.read(0, 1 if at is None else 4096):
        found, newline, _ = piece.partition(b"\n")
        text += found
        if newline:
            if at is not None:
                os.lseek(0, at + len(text) + 1, os.SEEK_SET)
            return text, False
    return text, True


def portions(pieces, separators, count):
    """The values of `count` variables: fields, the last with all that is left."""
    blank = [plain and char in separators and char in BLANKS for char, plain in pieces]
    other = [plain and char in separators and char not in BLANKS for char, plain in pieces]
    at, end, values = 0, len(pieces), []
    while end and blank[end - 1]:
        end -= 1
    while at < end and blank[at]:
        at += 1
    while len(values) < count - 1:
        start = at
        while at < end and not blank[at] and not other[at]:
            at += 1
        values.append("".join(char for char, _ in pieces[start:at]))
        while at < end and blank[at]:
            at += 1
        if at < end and other[at]:
            at += 1
            while at < end and blank[at]:
                at += 1
    rest = range(at, end)
    if end > at and other[end - 1] and not any(other[one] or blank[one] for one in range(at, end - 1)):
        rest = range(at, end - 1)  # one field and what ends it
    return [*values, "".join(pieces[one][0] for one in rest)]
