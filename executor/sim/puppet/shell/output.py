"""Builtins that write or judge: echo, printf, test."""

import re

from applets import PROGRAMS, Wrong, put, truth
from applets.output import formatted
from applets.registry import byte
from shell.expansion import ShellError
from shell.registry import builtin

ESCAPE = re.compile(r"\\(?:0([0-7]{0,3})|([1-7][0-7]{0,2})|(.))", re.DOTALL)
LETTERS = {"a": "\a", "b": "\b", "e": "\33", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


@builtin("echo")
def echo(shell, argv):
    """As dash has it: escapes always, -n first or not at all. bash takes after the program."""
    if shell.kind == "bash":
        return PROGRAMS["echo"](argv)
    words, newline = argv[1:], "\n"
    if words[:1] == ["-n"]:
        words, newline = words[1:], ""
    text, stop, _ = " ".join(words).partition("\\c")
    put(ESCAPE.sub(one, text) + ("" if stop else newline))
    return 0


def one(found):
    digits = found[1] if found[1] is not None else found[2]
    return byte(int(digits or "0", 8) & 255) if digits is not None else LETTERS.get(found[3], found[0])


@builtin("printf")
def printf(shell, argv):
    if len(argv) < 2:
        raise ShellError("usage: printf format [arg ...]")
    return formatted(argv, lambda word: shell.say(f"{word}: expected numeric value"))


@builtin("test", "[")
def test(shell, argv):
    words = argv[1:]
    if argv[0] == "[":
        if words[-1:] != ["]"]:
            shell.say("missing ]")
            return 2
        words = words[:-1]
    try:
        return int(not truth(words))
    except Wrong as wrong:
        shell.say(str(wrong))
        return 2
