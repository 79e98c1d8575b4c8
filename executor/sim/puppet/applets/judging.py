"""Programs whose answer is an exit code: test, cmp, expr, and small others."""

import os

from applets.conditions import Wrong, truth
from applets.registry import complain, content, find_program, options, program, put
from shim import Unmodelled


@program("test", "[")
def test(argv):
    words = argv[1:]
    try:
        if argv[0].endswith("["):
            if words[-1:] != ["]"]:
                return complain("[", "missing ']'") + 1
            words = words[:-1]
        return int(not truth(words))
    except Wrong as wrong:
        said = {"number": f"invalid integer '{wrong.word}'", "argument expected": f"missing argument after '{wrong.word}'"}
        return complain(argv[0], said.get(wrong.what, f"extra argument '{wrong.word}'")) + 1


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
