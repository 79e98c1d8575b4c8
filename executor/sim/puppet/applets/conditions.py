"""What `test` asks: of files, texts and numbers, joined by !, -a, -o and parentheses."""

import os
import re
import stat

from shim import Unmodelled

COMPARED = {
    "=": lambda a, b: a == b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    ">": lambda a, b: a > b, "-eq": lambda a, b: number(a) == number(b), "-ne": lambda a, b: number(a) != number(b),
    "-lt": lambda a, b: number(a) < number(b), "-le": lambda a, b: number(a) <= number(b),
    "-gt": lambda a, b: number(a) > number(b), "-ge": lambda a, b: number(a) >= number(b),
    "-nt": lambda a, b: changed(a) > changed(b), "-ot": lambda a, b: changed(a) < changed(b),
    "-ef": lambda a, b: os.path.exists(a) and os.path.exists(b) and os.path.samefile(a, b),
}  # fmt: skip
KINDS = {"-f": stat.S_ISREG, "-d": stat.S_ISDIR, "-p": stat.S_ISFIFO, "-c": stat.S_ISCHR, "-b": stat.S_ISBLK,
         "-S": stat.S_ISSOCK, "-L": stat.S_ISLNK, "-h": stat.S_ISLNK}  # fmt: skip
BITS = {"-u": stat.S_ISUID, "-g": stat.S_ISGID, "-k": stat.S_ISVTX}
ASKED = {*KINDS, *BITS, "-n", "-z", "-r", "-w", "-x", "-t", "-s", "-e", "-O", "-G"}


class Wrong(ValueError):
    """A condition that cannot be judged: what is wrong, and with which word."""

    def __init__(self, what, word):
        super().__init__(f"Illegal number: {word}" if what == "number" else f"{word}: {what}")
        self.what, self.word = what, word


def number(text):
    if not re.fullmatch(r"\s*[-+]?\d+\s*", text, re.ASCII):
        raise Wrong("number", text)
    return int(text)


def changed(path):
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1


def asked(kind, value):
    """A condition of one word."""
    if kind in {"-n", "-z"}:
        return bool(value) == (kind == "-n")
    if kind in {"-r", "-w", "-x"}:
        return os.access(value, {"-r": 4, "-w": 2, "-x": 1}[kind])
    if kind == "-t":
        return os.isatty(number(value))
    if kind not in ASKED:
        raise Unmodelled(f"test {kind}")
    try:
        facts = os.lstat(value) if kind in {"-L", "-h"} else os.stat(value)
    except OSError:
        return False
    if kind in KINDS:
        return KINDS[kind](facts.st_mode)
    return {"-s": facts.st_size > 0, "-e": True, "-O": facts.st_uid == os.geteuid(), "-G": facts.st_gid == os.getegid()}.get(
        kind, bool(facts.st_mode & BITS.get(kind, 0))
    )


def truth(words):
    """Whether words hold, as POSIX orders their readings by how many there are."""
    if not words:
        return False
    if len(words) == 1:
        return bool(words[0])
    if len(words) == 3 and words[1] in COMPARED:
        return COMPARED[words[1]](words[0], words[2])
    if len(words) in {2, 3, 4} and words[0] == "!":
        return not truth(words[1:])
    reading = Reading(words)
    found = reading.either()
    if reading.at < len(words):
        raise Wrong("unexpected operator", words[reading.at - 1])
    return found


class Reading:
    """A longer condition: -o binds less than -a, and that less than !."""

    def __init__(self, words):
        self.words, self.at = words, 0

    def peek(self, ahead=0):
        return self.words[self.at + ahead] if self.at + ahead < len(self.words) else None

    def either(self):
        found = self.both()
        while self.peek() == "-o":
            self.at += 1
            found = self.both() or found
        return found

    def both(self):
        found = self.negated()
        while self.peek() == "-a":
            self.at += 1
            found = self.negated() and found
        return found

    def negated(self):
        if self.peek() == "!":
            self.at += 1
            return not self.negated()
        return self.primary()

    def primary(self):
        first, second, third = self.peek(), self.peek(1), self.peek(2)
        if first is None:
            return False
        if second in COMPARED:
            if third is None:
                raise Wrong("argument expected", second)
            self.at += 3
            return COMPARED[second](first, third)
        if first == "(":
            self.at += 1
            found = self.either()
            if self.peek() != ")":
                raise Wrong("closing paren expected", self.words[self.at - 1])
            self.at += 1
            return found
        if first in ASKED and second is not None:
            self.at += 2
            return asked(first, second)
        self.at += 1
        return bool(first)
