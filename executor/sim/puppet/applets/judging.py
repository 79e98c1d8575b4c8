"""Programs whose answer is an exit code: test, cmp, expr, and small others."""

import os
import stat

from applets.registry import complain, content, find_program, options, program, put
from shim import Unmodelled


@program("test", "[")
def test(argv):
    words = argv[1:-1] if argv[0].endswith("[") else argv[1:]
    return 0 if truth(list(words)) else 1


def truth(words):
    if "-o" in words:
        at = words.index("-o")
        return truth(words[:at]) or truth(words[at + 1 :])
    if "-a" in words[1:]:
        at = words.index("-a", 1)
        return truth(words[:at]) and truth(words[at + 1 :])
    if words[:1] == ["!"]:
        return not truth(words[1:])
    if len(words) < 2:
        return bool(words and words[0])
    if len(words) == 2:
        kind, value = words
        if kind in {"-n", "-z"}:
            return bool(value) == (kind == "-n")
        if kind in {"-r", "-w", "-x"}:
            return os.access(value, {"-r": 4, "-w": 2, "-x": 1}[kind])
        if kind == "-t":
            return False
        try:
            facts = os.lstat(value) if kind in {"-L", "-h"} else os.stat(value)
        except OSError:
            return False
        kinds = {"-f": stat.S_ISREG, "-d": stat.S_ISDIR, "-L": stat.S_ISLNK, "-h": stat.S_ISLNK, "-p": stat.S_ISFIFO,
                 "-c": stat.S_ISCHR, "-b": stat.S_ISBLK, "-S": stat.S_ISSOCK}  # fmt: skip
        if kind in kinds:
            return kinds[kind](facts.st_mode)
        if kind == "-s":
            return facts.st_size > 0
        if kind == "-e":
            return True
        if kind == "-u":
            return bool(facts.st_mode & stat.S_ISUID)
        raise Unmodelled(f"test {kind}")
    left, operator, right = words
    if operator in {"=", "=="}:
        return left == right
    if operator == "!=":
        return left != right
    numbers = {"-eq": "==", "-ne": "!=", "-lt": "<", "-le": "<=", "-gt": ">", "-ge": ">="}
    if operator not in numbers:
        raise Unmodelled(f"test {operator}")
    one, two = int(left), int(right)
    return {"==": one == two, "!=": one != two, "<": one < two, "<=": one <= two, ">": one > two, ">=": one >= two}[
        numbers[operator]
    ]


@program("du", "df", "sync", "stty", "getconf", "factor", "expr", "cmp", "comm", "diff", "which.debianutils", "shuf")
def various(argv):
    name = argv[0].rpartition("/")[2]
    if name == "sync":
        os.sync()
        return 0
    if name == "cmp":
        known, rest = options(argv, "s")
        try:
            one, two = content(rest[0]), content(rest[1])
        except OSError as error:
            return complain("cmp", f"{error.filename}: {error.strerror}") + 1
        if one != two and "s" not in known:
            put(f"{rest[0]} {rest[1]} differ\n")
        return int(one != two)
    if name == "factor":
        for word in argv[1:]:
            number, found, divisor = int(word), [], 2
            while number > 1:
                while number % divisor == 0:
                    found.append(divisor)
                    number //= divisor
                divisor += 1
            put(f"{word}: {' '.join(map(str, found))}\n".replace(": \n", ":\n"))
        return 0
    if name == "expr" and len(argv) == 4:
        one, operator, two = argv[1:]
        if operator in {"+", "-", "*", "/", "%"}:
            left, right = int(one), int(two)
            value = {"+": left + right, "-": left - right, "*": left * right}.get(operator)
            if value is None:
                if right == 0:
                    return complain("expr", "division by zero") + 1
                value = left // right if operator == "/" else left % right
            put(f"{value}\n")
            return int(value == 0)
    if name in {"which.debianutils", "which"}:
        code = 0
        for word in argv[1:]:
            for path in find_program(word, os.environ.get("PATH")):
                if os.access(path, os.X_OK):
                    put(path + "\n")
                    break
            else:
                code = 1
        return code
    raise Unmodelled(f"{name} {' '.join(argv[1:3])}".strip())
