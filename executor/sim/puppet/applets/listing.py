"""Programs that tell of files: ls, stat, readlink, find."""

import fnmatch
import os
import re
import stat

from applets.registry import complain, options, program, put, refuse, started
from shim import Unmodelled


@program("ls", "dir", "vdir")
def ls(argv):
    known, rest = options(argv, "laA1dRiF")
    if known.keys() & {"R", "i", "F"}:
        raise Unmodelled("ls -R, -i or -F")
    code = 0

    def line(name, path):
        if "l" not in known:
            return name
        one = os.lstat(path)
        arrow = f" -> {os.readlink(path)}" if stat.S_ISLNK(one.st_mode) else ""
        return f"{stat.filemode(one.st_mode)} {one.st_nlink} {one.st_uid} {one.st_gid} {one.st_size} {name}{arrow}"

    for path in rest or ["."]:
        try:
            if "d" not in known and stat.S_ISDIR((os.lstat if "l" in known else os.stat)(path).st_mode):
                names = sorted(os.listdir(path))
                if "a" in known:
                    names = [".", "..", *names]
                elif "A" not in known:
                    names = [name for name in names if not name.startswith(".")]
                if len(rest) > 1:
                    put(f"{path}:\n")
                put("".join(line(name, f"{path}/{name}") + "\n" for name in names))
            else:
                put(line(path, path) + "\n")
        except OSError as error:
            what = "open directory" if error.errno == 13 else "access"
            complain("ls", f"cannot {what} '{path}': {error.strerror}")
            code = 2
    return code


@program("readlink", "realpath")
def readlink(argv):
    name = argv[0].rpartition("/")[2]
    known, rest = options(argv, "fenm")
    code = 0
    for path in rest:
        try:
            put((os.readlink(path) if name == "readlink" and not known.keys() & {"f", "e", "m"} else
                 os.path.realpath(path, strict="e" in known)) + "\n")  # fmt: skip
        except OSError as error:
            code = 1 if name == "readlink" else complain(name, f"{path}: {error.strerror}")
    return code


@program("basename", "dirname")
def part(argv):
    if len(argv) < 2:
        return complain(argv[0], "missing operand")
    path = argv[1].rstrip("/") or "/"
    head, _, tail = path.rpartition("/")
    if argv[0].endswith("basename"):
        put((tail.removesuffix(argv[2]) if len(argv) > 2 and tail != argv[2] else tail or "/") + "\n")
    else:
        put((head or ("/" if path.startswith("/") else ".")) + "\n")
    return 0


@program("stat")
def status(argv):
    known, rest = options(argv, "Lt", "c")
    code = 0
    for path in rest:
        try:
            one = (os.stat if "L" in known else os.lstat)(path)
        except OSError as error:
            code = complain("stat", f"cannot statx '{path}': {error.strerror}")
            continue
        table = {"a": f"{stat.S_IMODE(one.st_mode):o}", "u": one.st_uid, "g": one.st_gid, "s": one.st_size, "n": path,
                 "i": one.st_ino, "h": one.st_nlink, "A": stat.filemode(one.st_mode)}  # fmt: skip
        form = known.get("c", "%n %s")
        put(
            re.sub(r"%([a-zA-Z])", lambda m: str(table[m[1]]) if m[1] in table else refuse(f"stat %{m[1]}"), form)
            + "\n"
        )
    return code


@program("find")
def find(argv):
    words = list(argv[1:])
    roots = []
    while words and not words[0].startswith(("-", "!", "(")):
        roots.append(words.pop(0))
    tests, depth, order = [], 99, []
    while words:
        word = words.pop(0)
        if word == "-name":
            tests.append(("name", words.pop(0)))
        elif word == "-type":
            tests.append(("type", words.pop(0)))
        elif word == "-maxdepth":
            depth = int(words.pop(0))
        elif word == "-exec" and ";" in words:
            order, words = words[: words.index(";")], words[words.index(";") + 1 :]
        elif word != "-print":
            raise Unmodelled(f"find {word}")
    code = 0
    kinds = {"f": stat.S_ISREG, "d": stat.S_ISDIR, "l": stat.S_ISLNK}

    def visit(path, level):
        nonlocal code
        try:
            facts = os.lstat(path)
            fits = all(
                fnmatch.fnmatchcase(path.rstrip("/").rpartition("/")[2] or path, value) if kind == "name"
                else kinds[value](facts.st_mode) for kind, value in tests
            )  # fmt: skip
            if fits and order:
                started([one.replace("{}", path) for one in order], "find")
            elif fits:
                put(path + "\n")
            if stat.S_ISDIR(facts.st_mode) and level < depth:
                for name in os.listdir(path):
                    visit(f"{path.rstrip('/')}/{name}", level + 1)
        except OSError as error:
            code = complain("find", f"'{path}': {error.strerror}")

    for root in roots or ["."]:
        visit(root, 0)
    return code
