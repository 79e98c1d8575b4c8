"""Coreutils and their like as far as scenarios use them; an option that is not here is Unmodelled, never ignored."""

import base64
import fnmatch
import hashlib
import os
import re
import stat
import sys
import time

from shim import Unmodelled, call

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


@program("true")
def true(_argv):
    return 0


@program("false")
def false(_argv):
    return 1


@program("echo")
def echo(argv):
    words, newline, escapes = argv[1:], True, False
    while words and re.fullmatch("-[neE]+", words[0]):
        flag = words.pop(0)
        newline &= "n" not in flag
        escapes = ("e" in flag) if set(flag) & {"e", "E"} else escapes
    text = " ".join(words)
    put((escaped(text) if escapes else text) + ("\n" if newline else ""))
    return 0


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


@program("printf")
def printf(argv):
    if len(argv) < 2:
        return complain("printf", "missing operand")
    form, words = escaped(argv[1]), list(argv[2:])
    while True:
        before = len(words)

        def one(found):
            kind = found[1]
            if kind == "%":
                return "%"
            word = words.pop(0) if words else ("" if kind in "sbc" else "0")
            if kind == "b":
                return escaped(word)
            spec = found[0]
            return spec % (word if kind in "s" else word[:1] if kind == "c" else int(word, 0))

        put(re.sub(r"%[-+ 0#]*\d*(?:\.\d+)?([sdiouxXcb%])", one, form))
        if not words or len(words) == before:
            return 0


@program("cat")
def cat(argv):
    known, rest = options(argv, "nuA")
    if known.keys() - {"u"}:
        raise Unmodelled("cat with options")
    code = 0
    for path in rest or ["-"]:
        try:
            handle = 0 if path == "-" else os.open(path, os.O_RDONLY)
            while piece := os.read(handle, 131072):
                put(piece)
        except OSError as error:
            code = complain("cat", f"{path}: {error.strerror}")
    return code


@program("sleep")
def sleep(argv):
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    total = 0.0
    for word in argv[1:]:
        if word == "infinity":
            total = 1e9
            continue
        try:
            total += float(word.rstrip("smhd")) * units.get(word[-1:], 1)
        except ValueError:
            return complain("sleep", f"invalid time interval '{word}'")
    if len(argv) == 1:
        return complain("sleep", "missing operand")
    time.sleep(total)
    return 0


@program("pwd")
def pwd(_argv):
    put(os.getcwd() + "\n")
    return 0


@program("env")
def env(argv):
    words, clean = list(argv[1:]), False
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        if flag in {"-i", "-"}:
            clean = True
        elif flag == "-u":
            os.environ.pop(words.pop(0), None)
        else:
            raise Unmodelled(f"env {flag}")
    environment = {} if clean else dict(os.environ)
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    if not words:
        put("".join(f"{name}={value}\n" for name, value in environment.items()))
        return 0
    return run(words, environment, "env")


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


@program("nohup", "nice", "timeout", "setsid", "stdbuf", "xargs")
def wrapper(argv):
    name, words = argv[0].rpartition("/")[2], list(argv[1:])
    if name == "xargs":
        return xargs(words)
    if name == "stdbuf":
        while words and words[0].startswith("-"):
            words.pop(0)
    if name == "nice":
        step = 10
        if words[:1] == ["-n"]:
            step, words = int(words[1]), words[2:]
        if not words:
            put(f"{os.getpriority(0, 0)}\n")
            return 0
        try:
            os.nice(step)
        except OSError as error:
            complain("nice", f"cannot set niceness: {error.strerror}")
    if name == "timeout":
        return timeout(words)
    if name == "setsid":
        while words and words[0] in {"-w", "--wait", "-f"}:
            if words.pop(0) == "-f":
                raise Unmodelled("setsid -f")
        if os.getpgrp() != os.getpid():
            os.setsid()
        else:
            raise Unmodelled("setsid of a group's leader")
    return run(words, dict(os.environ), name)


def timeout(words):
    number = 15
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        if flag == "-s":
            number = {"KILL": 9, "TERM": 15, "INT": 2, "9": 9}[words.pop(0)]
        elif flag == "-k":
            words.pop(0)
        else:
            raise Unmodelled(f"timeout {flag}")
    seconds = float(words[0].rstrip("s"))
    pid = os.fork()
    if pid == 0:
        os._exit(run(words[1:], dict(os.environ), "timeout"))
    until = call("clock", 1) + seconds * 1e9
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        if call("clock", 1) >= until:
            os.kill(pid, number)
            os.waitpid(pid, 0)
            return 124 if number != 9 else 137
        time.sleep(0.01)


def xargs(words):
    count, mark = 0, ""
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        if flag.startswith("-I") and len(flag) > 2:
            mark = flag[2:]
        elif flag in {"-n", "-n1"}:
            count = 1 if flag == "-n1" else int(words.pop(0))
        elif flag not in {"-r", "-0"}:
            raise Unmodelled(f"xargs {flag}")
    text = content("-").decode()
    if mark:
        made = [[one.replace(mark, row.strip()) for one in words] for row in text.splitlines() if row.strip()]
    else:
        items = text.split()
        size = count or max(1, len(items))
        made = [[*(words or ["echo"]), *items[at : at + size]] for at in range(0, max(1, len(items)), size)]
    code = 0
    for one in made:
        pid = os.fork()
        if pid == 0:
            os._exit(run(one, dict(os.environ), "xargs"))
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            return 125
        ended = os.WEXITSTATUS(status)
        if ended in {126, 127}:
            return ended
        code = 123 if ended else code
    return code


@program("printenv")
def printenv(argv):
    if len(argv) == 1:
        put("".join(f"{name}={value}\n" for name, value in os.environ.items()))
        return 0
    code = 0
    for name in argv[1:]:
        if name in os.environ:
            put(os.environ[name] + "\n")
        else:
            code = 1
    return code


@program("id")
def identity(argv):
    known, _ = options(argv, "unGgr")
    if "u" in known and "n" in known:
        return whoami(argv)
    if "u" in known:
        put(f"{os.geteuid()}\n")
    elif "G" in known:
        put(" ".join(map(str, dict.fromkeys([os.getegid(), *os.getgroups()]))) + "\n")
    elif "g" in known:
        put(f"{os.getegid()}\n")
    else:
        groups = ",".join(map(str, dict.fromkeys([os.getegid(), *os.getgroups()])))
        name = user(os.geteuid())
        put(f"uid={os.geteuid()}({name}) gid={os.getegid()}({name}) groups={groups}\n")
    return 0


def user(uid):
    for row in content("/etc/passwd").decode().splitlines():
        fields = row.split(":")
        if fields[2] == str(uid):
            return fields[0]
    return str(uid)


@program("whoami", "logname", "users", "who", "pinky")
def whoami(argv):
    name = argv[0].rpartition("/")[2]
    if name in {"users", "who", "pinky"}:
        return 0
    if name == "logname":
        return complain("logname", "no login name")
    put(user(os.geteuid()) + "\n")
    return 0


@program("hostname", "uname", "arch", "nproc", "hostid", "tty")
def facts(argv):
    name, found = argv[0].rpartition("/")[2], os.uname()
    if name == "uname":
        known, _ = options(argv, "asnrvm")
        order = {"s": found.sysname, "n": found.nodename, "r": found.release, "v": found.version, "m": found.machine}
        wanted = "snrvm" if "a" in known else [letter for letter in "snrvm" if letter in known] or "s"
        put(" ".join(order[letter] for letter in wanted) + ("" if "a" not in known else " GNU/Linux") + "\n")
    elif name == "tty":
        put("not a tty\n")
        return 1
    elif name == "hostname" and len(argv) > 1:
        try:
            call("sethostname", argv[1])
        except OSError:
            return complain("hostname", "you must be root to change the host name")
    else:
        put({"hostname": found.nodename, "arch": found.machine, "nproc": str(os.cpu_count()), "hostid": "007f0100"}[name]
            + "\n")  # fmt: skip
    return 0


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
            if stat.S_ISDIR(os.stat(path).st_mode) and "d" not in known:
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


@program("mkdir")
def mkdir(argv):
    known, rest = options(argv, "pv", "m")
    code = 0
    for path in rest:
        try:
            if "p" in known:
                os.makedirs(path, exist_ok=True)
            else:
                os.mkdir(path, int(known.get("m", "777"), 8))
        except OSError as error:
            code = complain("mkdir", f"cannot create directory '{path}': {error.strerror}")
    return code if rest else complain("mkdir", "missing operand")


@program("rmdir")
def rmdir(argv):
    _, rest = options(argv, "")
    code = 0
    for path in rest:
        try:
            os.rmdir(path)
        except OSError as error:
            code = complain("rmdir", f"failed to remove '{path}': {error.strerror}")
    return code if rest else complain("rmdir", "missing operand")


@program("touch")
def touch(argv):
    known, rest = options(argv, "cam")
    code = 0
    for path in rest:
        try:
            flags = os.O_WRONLY | (0 if "c" in known else os.O_CREAT) | os.O_NONBLOCK | os.O_NOCTTY
            try:
                os.close(os.open(path, flags, 0o666))
            except OSError as error:
                if error.errno != 21 and not ("c" in known and error.errno == 2):
                    raise
                if error.errno == 2:
                    continue
            os.utime(path)
        except OSError as error:
            code = complain("touch", f"cannot touch '{path}': {error.strerror}")
    return code if rest else complain("touch", "missing file operand")


@program("rm", "unlink")
def rm(argv):
    known, rest = options(argv, "rRfv")
    code = 0

    def remove(path):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            if not known.keys() & {"r", "R"}:
                raise IsADirectoryError(21, "Is a directory")
            for name in os.listdir(path):
                remove(f"{path}/{name}")
            os.rmdir(path)
        else:
            os.unlink(path)

    for path in rest:
        try:
            remove(path)
        except OSError as error:
            if not ("f" in known and error.errno in {2, 20}):
                code = complain("rm", f"cannot remove '{path}': {error.strerror}")
    return code if rest or "f" in known else complain("rm", "missing operand")


def target_of(source, target):
    try:
        if stat.S_ISDIR(os.stat(target).st_mode):
            return f"{target.rstrip('/')}/{source.rstrip('/').rpartition('/')[2]}"
    except OSError:
        pass
    return target


def copy(source, target, *, recursive=False, keep=False, fresh=False):
    facts = os.stat(source)
    if stat.S_ISDIR(facts.st_mode):
        if not recursive:
            raise Unmodelled("cp of a folder without -r")
        if not os.path.isdir(target):
            os.mkdir(target)
        for name in os.listdir(source):
            copy(f"{source}/{name}", f"{target}/{name}", recursive=True, keep=keep)
        return
    data = content(source)
    if fresh and os.path.lexists(target):
        os.unlink(target)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, stat.S_IMODE(facts.st_mode))
    while data:
        data = data[os.write(handle, data) :]
    if keep:
        os.fchmod(handle, stat.S_IMODE(facts.st_mode))
    os.close(handle)


@program("cp", "install")
def cp(argv):
    known, rest = options(argv, "rRapfvd", "m")
    if len(rest) < 2:
        return complain("cp", "missing file operand")
    code = 0
    for source in rest[:-1]:
        try:
            where = target_of(source, rest[-1])
            copy(source, where, recursive=bool(known.keys() & {"r", "R", "a"}), keep=bool(known.keys() & {"a", "p"}))
            if argv[0].endswith("install"):
                os.chmod(where, int(known.get("m", "755"), 8))
        except OSError as error:
            code = complain("cp", f"'{error.filename or source}': {error.strerror}")
    return code


@program("mv")
def mv(argv):
    _, rest = options(argv, "fvn")
    if len(rest) < 2:
        return complain("mv", "missing file operand")
    code = 0
    for source in rest[:-1]:
        where = target_of(source, rest[-1])
        try:
            try:
                os.rename(source, where)
            except OSError as error:
                if error.errno != 18:
                    raise
                copy(source, where, recursive=True, keep=True)
                os.unlink(source)
        except OSError as error:
            code = complain("mv", f"cannot move '{source}' to '{where}': {error.strerror}")
    return code


@program("ln", "link")
def ln(argv):
    known, rest = options(argv, "sfnT")
    if len(rest) < 1:
        return complain("ln", "missing file operand")
    source, where = rest[0], target_of(rest[0], rest[1] if len(rest) > 1 else ".")
    try:
        if "f" in known and os.path.lexists(where):
            os.unlink(where)
        (os.symlink if "s" in known else os.link)(source, where)
    except OSError as error:
        kind = "symbolic link" if "s" in known else "hard link"
        return complain("ln", f"failed to create {kind} '{where}': {error.strerror}")
    return 0


@program("chmod", "chown", "chgrp")
def change(argv):
    name = argv[0].rpartition("/")[2]
    known, rest = options(argv, "Rv")
    if len(rest) < 2:
        return complain(name, "missing operand")
    code = 0
    for path in rest[1:]:
        try:
            if name == "chmod":
                os.chmod(path, mode_of(rest[0], os.stat(path).st_mode))
            else:
                ids = rest[0].split(":") if name == "chown" else ["", rest[0]]
                uid = -1 if not ids[0] else numeric(ids[0])
                gid = -1 if len(ids) < 2 or not ids[1] else numeric(ids[1])
                os.chown(path, uid, gid)
        except OSError as error:
            words = "changing permissions" if name == "chmod" else "changing ownership"
            code = complain(name, f"{words} of '{path}': {error.strerror}")
    return code


def numeric(name):
    return int(name) if name.isdecimal() else {"root": 0, "task": 1000, "nobody": 65534}[name]


def mode_of(text, now):
    if text.isdecimal():
        return int(text, 8)
    mode = stat.S_IMODE(now)
    for part in text.split(","):
        found = re.fullmatch(r"([ugoa]*)([-+=])([rwxst]*)", part)
        if not found:
            raise Unmodelled(f"chmod {text}")
        who = found[1].replace("a", "ugo") or "ugo"
        bits = 0
        for letter in who:
            shift = {"u": 6, "g": 3, "o": 0}[letter]
            bits |= sum({"r": 4, "w": 2, "x": 1}.get(one, 0) for one in found[3]) << shift
        bits |= 0o4000 if "s" in found[3] and "u" in who else 0
        bits |= 0o2000 if "s" in found[3] and "g" in who else 0
        bits |= 0o1000 if "t" in found[3] else 0
        mode = mode | bits if found[2] == "+" else mode & ~bits if found[2] == "-" else bits
    return mode


@program("head", "tail")
def ends(argv):
    name = argv[0].rpartition("/")[2]
    argv = [re.sub(r"^-(\d+)$", r"-n\1", one) for one in argv]
    known, rest = options(argv, "q", "nc")
    code = 0
    for path in rest or ["-"]:
        try:
            if name == "head":
                handle = 0 if path == "-" else os.open(path, os.O_RDONLY)
                data = b""
                if "c" in known:
                    wanted = size_of(known["c"])
                    while len(data) < wanted and (piece := os.read(handle, min(131072, wanted - len(data)))):
                        data += piece
                        if len(data) >= 131072:
                            put(data)
                            wanted -= len(data)
                            data = b""
                    put(data)
                else:
                    wanted = int(known.get("n", "10"))
                    while data.count(b"\n") < wanted and (piece := os.read(handle, 8192)):
                        data += piece
                    put(b"".join(data.splitlines(keepends=True)[:wanted]))
            else:
                data = content(path)
                number = known.get("c") or known.get("n", "10")
                if number.startswith("+"):
                    raise Unmodelled("tail from a line on")
                count = int(number)
                put(data[-count:] if "c" in known and count else b"".join(data.splitlines(keepends=True)[-count:]))
        except OSError as error:
            code = complain(name, f"cannot open '{path}' for reading: {error.strerror}")
    return code


def size_of(text):
    found = re.fullmatch(r"(\d+)([cwbkKMGT]?)(B?)", text.removesuffix("iB") if text.endswith("iB") else text)
    if not found:
        raise Unmodelled(f"a size of {text}")
    unit = {"": 1, "c": 1, "w": 2, "b": 512, "k": 1024, "K": 1024, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[found[2]]
    if found[3] and found[2]:
        unit = {"k": 1000, "K": 1000, "M": 10**6, "G": 10**9, "T": 10**12}.get(found[2], unit)
    return int(found[1]) * unit


@program("wc")
def wc(argv):
    known, rest = options(argv, "lwcm")
    totals = [0, 0, 0]

    def work(path, data):
        counts = [data.count(b"\n"), len(data.split()), len(data)]
        chosen = [n for n, flag in zip(counts, "lwc", strict=True) if flag in known or not known]
        for at, value in enumerate(counts):
            totals[at] += value
        put(" ".join(map(str, chosen)) + (f" {path}" if path != "-" else "") + "\n")

    code = each("wc", rest, work)
    if len(rest) > 1:
        put(" ".join(str(n) for n, flag in zip(totals, "lwc", strict=True) if flag in known or not known) + " total\n")
    return code


@program("seq")
def seq(argv):
    _, rest = options([argv[0], *(one for one in argv[1:] if not re.fullmatch(r"-\d+", one))], "w", "s")
    numbers = [int(one) for one in argv[1:] if re.fullmatch(r"-?\d+", one)]
    if len(numbers) != len(argv) - 1:
        raise Unmodelled("seq with options or fractions")
    first, step, last = (1, 1, numbers[0]) if len(numbers) == 1 else (
        (numbers[0], 1, numbers[1]) if len(numbers) == 2 else tuple(numbers))  # fmt: skip
    lines = []
    for number in range(first, last + (1 if step > 0 else -1), step):
        lines.append(f"{number}\n")
        if len(lines) == 4096:
            put("".join(lines))
            lines = []
    put("".join(lines))
    return 0


@program("yes")
def yes(argv):
    text = (" ".join(argv[1:]) or "y") + "\n"
    block = text.encode() * max(1, 65536 // len(text))
    while True:
        put(block)


@program("tee")
def tee(argv):
    known, rest = options(argv, "a")
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if "a" in known else os.O_TRUNC)
    code, handles = 0, [1]
    for path in rest:
        try:
            handles.append(os.open(path, flags, 0o666))
        except OSError as error:
            code = complain("tee", f"{path}: {error.strerror}")
    while piece := os.read(0, 65536):
        for handle in handles:
            os.write(handle, piece)
    return code


@program("dd")
def dd(argv):
    given = dict(one.split("=", 1) for one in argv[1:])
    if given.keys() - {"if", "of", "bs", "count", "seek", "skip", "conv", "status", "oflag", "iflag"}:
        raise Unmodelled("dd with other operands")
    size = size_of(given.get("bs", "512"))
    left = int(given["count"]) if "count" in given else -1
    try:
        source = os.open(given["if"], os.O_RDONLY) if "if" in given else 0
    except OSError as error:
        return complain("dd", f"failed to open '{given['if']}': {error.strerror}")
    try:
        trunc = 0 if "notrunc" in given.get("conv", "") or "seek" in given else os.O_TRUNC
        target = os.open(given["of"], os.O_WRONLY | os.O_CREAT | trunc, 0o666) if "of" in given else 1
    except OSError as error:
        return complain("dd", f"failed to open '{given['of']}': {error.strerror}")
    if "skip" in given:
        os.lseek(source, int(given["skip"]) * size, 0)
    if "seek" in given:
        os.lseek(target, int(given["seek"]) * size, 0)
    blocks = done = 0
    while left:
        try:
            data = os.read(source, size)
            if not data:
                break
            rest = data
            while rest:
                wrote = os.write(target, rest)
                done += wrote
                rest = rest[wrote:]
        except OSError as error:
            return complain("dd", f"error writing '{given.get('of', 'standard output')}': {error.strerror}")
        blocks += 1
        left -= 1
    if given.get("status") != "none":
        os.write(2, f"{blocks}+0 records in\n{blocks}+0 records out\n{done} bytes copied\n".encode())
    return 0


@program("truncate", "fallocate")
def truncate(argv):
    name = argv[0].rpartition("/")[2]
    known, rest = options(argv, "c", "sl")
    size = size_of(known.get("s") or known.get("l", ""))
    code = 0
    for path in rest:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o666)
            (os.posix_fallocate(handle, 0, size) if name == "fallocate" else os.ftruncate(handle, size))
            os.close(handle)
        except OSError as error:
            code = complain(name, f"cannot open '{path}' for writing: {error.strerror}")
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
        put(re.sub(r"%([a-zA-Z])", lambda m: str(table[m[1]]) if m[1] in table else refuse(f"stat %{m[1]}"), form) + "\n")
    return code


def refuse(what):
    raise Unmodelled(what)


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


@program("sort", "uniq", "tac", "rev")
def lines_of(argv):
    name = argv[0].rpartition("/")[2]
    known, rest = options(argv, "rnuc")
    try:
        rows = b"".join(content(path) for path in rest or ["-"]).decode("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        return complain(name, f"cannot read: {rest[0]}: {error.strerror}") + (1 if name == "sort" else 0)
    if name == "sort":
        rows.sort(key=(lambda row: float(re.match(r"\s*(-?[\d.]*)", row)[1] or 0)) if "n" in known else None,
                  reverse="r" in known)  # fmt: skip
        if "u" in known:
            rows = list(dict.fromkeys(rows))
    elif name == "uniq":
        runs = []
        for row in rows:
            if runs and runs[-1][1] == row:
                runs[-1][0] += 1
            else:
                runs.append([1, row])
        rows = [f"{count:7} {row}" if "c" in known else row for count, row in runs]
    else:
        rows.reverse()
    put("".join(f"{row}\n" for row in rows))
    return 0


@program("cut")
def cut(argv):
    known, rest = options(argv, "s", "dfc")
    def chosen(items):
        found = []
        for one in known.get("f", known.get("c", "")).split(","):
            first, dash, last = one.partition("-")
            low, high = int(first or 1), int(last or (len(items) if dash else first))
            found += items[low - 1 : high]
        return found

    def work(_path, data):
        for row in data.decode("utf-8", "surrogateescape").splitlines():
            if "c" in known:
                put("".join(chosen(list(row))) + "\n")
            else:
                mark = known.get("d", "\t")
                put((mark.join(chosen(row.split(mark))) if mark in row else row) + "\n")

    return each("cut", rest, work)


@program("tr")
def tr(argv):
    known, rest = options(argv, "ds")
    def spread(text):
        text = text.replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z").replace("[:digit:]", "0-9")
        return re.sub(r"(.)-(.)", lambda m: "".join(map(chr, range(ord(m[1]), ord(m[2]) + 1))), escaped(text))

    while piece := os.read(0, 65536):
        text = piece.decode("latin-1")
        first = spread(rest[0])
        if "d" in known:
            text = "".join(one for one in text if one not in first)
        else:
            second = spread(rest[1])
            second += second[-1:] * (len(first) - len(second))
            text = text.translate(str.maketrans(first, second[: len(first)]))
        put(text.encode("latin-1"))
    return 0


@program("grep", "egrep", "fgrep")
def grep(argv):
    known, rest = options(argv, "qvicnlEFhosHxr", "em")
    if known.keys() & {"r", "o"}:
        raise Unmodelled("grep -r or -o")
    pattern = known.get("e") or rest.pop(0)
    fixed = "F" in known or argv[0].endswith("fgrep")
    if not fixed and not ("E" in known or argv[0].endswith("egrep")) and set(pattern) & set("+?{|(") :
        fixed_pattern = re.sub(r"([+?{|()}])", r"\\\1", pattern)
    else:
        fixed_pattern = pattern
    wanted = re.compile(re.escape(pattern) if fixed else fixed_pattern, re.IGNORECASE if "i" in known else 0)
    match = wanted.fullmatch if "x" in known else wanted.search
    found, failed = False, False
    for path in rest or ["-"]:
        try:
            rows = content(path).decode("utf-8", "surrogateescape").splitlines()
        except OSError as error:
            failed = True
            if "s" not in known:
                complain("grep", f"{path}: {error.strerror}")
            continue
        hits = [(n, row) for n, row in enumerate(rows, 1) if bool(match(row)) != ("v" in known)]
        found |= bool(hits)
        if "q" in known:
            continue
        prefix = f"{path}:" if (len(rest) > 1 and "h" not in known) or "H" in known else ""
        if "c" in known:
            put(f"{prefix}{len(hits)}\n")
        elif "l" in known:
            put(f"{path}\n" if hits else "")
        else:
            put("".join(f"{prefix}{f'{n}:' if 'n' in known else ''}{row}\n" for n, row in hits))
    return 2 if failed and not ("q" in known and found) else 0 if found else 1


@program("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "b2sum", "md5sum.textutils")
def digest(argv):
    name = argv[0].rpartition("/")[2].removesuffix(".textutils")
    _, rest = options(argv, "b")
    kind = {"b2sum": "blake2b"}.get(name, name.removesuffix("sum"))
    return each(name, rest, lambda path, data: put(f"{hashlib.new(kind, data).hexdigest()}  {path}\n"))


@program("base64", "base32")
def encode(argv):
    name = argv[0].rpartition("/")[2]
    known, rest = options(argv, "di", "w")
    kind = name.removeprefix("base")

    def work(_path, data):
        if "d" in known:
            put(getattr(base64, f"b{kind}decode")(b"".join(data.split())))
            return
        text = getattr(base64, f"b{kind}encode")(data).decode()
        width = int(known.get("w", "76"))
        put("".join(text[at : at + width] + "\n" for at in range(0, len(text), width)) if width else text)

    return each(name, rest, work)


@program("date")
def date(argv):
    form = next((one[1:] for one in argv[1:] if one.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    if any(one in {"-s", "--set"} or one.startswith("--set=") for one in argv[1:]):
        try:
            call("clock_settime", 0, call("clock", 0))
        except OSError as error:
            return complain("date", f"cannot set date: {error.strerror}")
        return 0
    put(time.strftime(form, time.gmtime()) + "\n")
    return 0


@program("mktemp")
def mktemp(argv):
    known, rest = options(argv, "dqu", "p")
    import random

    form = rest[0] if rest else f"{known.get('p') or os.environ.get('TMPDIR') or '/tmp'}/tmp.XXXXXXXXXX"
    marks = len(form) - len(form.rstrip("X"))
    path = form[: len(form) - marks] + "".join(random.Random(call("getrandom", 8)).choices("abcdefghijk", k=marks))
    try:
        os.mkdir(path, 0o700) if "d" in known else os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        return complain("mktemp", f"failed to create file via template '{form}': {error.strerror}")
    put(path + "\n")
    return 0


@program("mkfifo", "mknod")
def node(argv):
    name = argv[0].rpartition("/")[2]
    _, rest = options(argv, "", "m")
    try:
        if name == "mkfifo":
            for path in rest:
                os.mkfifo(path)
        else:
            kind = {"p": stat.S_IFIFO, "b": stat.S_IFBLK, "c": stat.S_IFCHR, "u": stat.S_IFCHR}[rest[1]]
            os.mknod(rest[0], kind | 0o666, os.makedev(int(rest[2]), int(rest[3])) if len(rest) > 3 else 0)
    except OSError as error:
        return complain(name, f"{rest[0]}: {error.strerror}")
    return 0


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


@program("kill")
def kill(argv):
    words, number = list(argv[1:]), 15
    if words and words[0].startswith("-"):
        import signal

        name = words.pop(0)[1:]
        name = words.pop(0) if name == "s" else name
        number = int(name) if name.isdecimal() else getattr(signal, f"SIG{name.removeprefix('SIG')}")
    code = 0
    for word in words:
        try:
            os.kill(int(word), number)
        except OSError as error:
            code = complain("kill", f"({word}) - {error.strerror}")
    return code


@program("sed")
def sed(argv):
    known, rest = options(argv, "nEr", "e")
    script = known.get("e") or (rest.pop(0) if rest else "")
    def work(_path, data):
        rows = data.decode("utf-8", "surrogateescape").splitlines()
        for row, text in enumerate(rows, 1):
            found = re.fullmatch(r"s(.)(.*?)\1(.*?)\1([gIp]*)", script)
            if found and not set(found[2]) & set("\\[]+?{}|()"):
                put(re.sub(found[2], found[3].replace("&", r"\g<0>"), text, count=0 if "g" in found[4] else 1) + "\n")
            elif re.fullmatch(r"\d+p", script) and "n" in known:
                put(text + "\n" if int(script[:-1]) == row else "")
            elif re.fullmatch(r"\d+q", script):
                put(text + "\n" if row <= int(script[:-1]) else "")
            else:
                raise Unmodelled(f"sed {script}")

    return each("sed", rest, work)


@program("patch")
def patch(argv):
    """Applies a unified diff as cp18 and the workspace ask for it: `patch -p1 ... -i FILE` or on standard input."""
    source, strip, words = "-", 0, list(argv[1:])
    while words:
        word = words.pop(0)
        if word in {"-i", "--input"}:
            source = words.pop(0)
        elif word.startswith("--input="):
            source = word.partition("=")[2]
        elif re.fullmatch(r"-p\d+", word):
            strip = int(word[2:])
        elif word.startswith("--strip="):
            strip = int(word.partition("=")[2])
        elif word not in {"--batch", "-f", "--force", "-s", "--silent", "-t", "-N", "--forward", "-u", "--unified",
                          "--no-backup-if-mismatch", "--posix", "-E", "--remove-empty-files", "--reject-file=-",
                          "-r-", "--fuzz=0", "-F0", "--binary", "--quiet", "--"}:  # fmt: skip
            raise Unmodelled(f"patch {word}")
    rows = content(source).decode("utf-8", "surrogateescape").splitlines(keepends=True)
    at, code = 0, 0
    while at < len(rows):
        if not (rows[at].startswith("--- ") and at + 1 < len(rows) and rows[at + 1].startswith("+++ ")):
            at += 1
            continue
        names = [row[4:].split("\t")[0].strip() for row in rows[at : at + 2]]
        at += 2
        hunks = []
        while at < len(rows) and (found := re.match(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", rows[at])):
            old, new = int(found[2] or 1), int(found[4] or 1)
            at += 1
            body = []
            while at < len(rows) and (old > 0 or new > 0):
                mark = rows[at][:1]
                old -= mark in " -\n"
                new -= mark in " +\n"
                body.append(rows[at])
                at += 1
            hunks.append((int(found[1]), body))
        name = names[1] if names[1] != "/dev/null" else names[0]
        path = "/".join(name.split("/")[strip:])
        code = max(code, apply_hunks(path, names, hunks))
    return code


def apply_hunks(path, names, hunks):
    try:
        before = [] if names[0] == "/dev/null" else content(path).decode("utf-8", "surrogateescape").splitlines(True)
        after, at = [], 0
        for start, body in hunks:
            begin = max(0, start - 1)
            after += before[at:begin]
            at = begin
            for row in body:
                mark, text = row[:1], row[1:]
                if mark in {" ", "-"}:
                    if at >= len(before) or before[at].rstrip("\n") != text.rstrip("\n"):
                        put(f"patching file {path}\nHunk #1 FAILED at {start}.\n1 out of {len(hunks)} hunks FAILED\n")
                        return 1
                    if mark == " ":
                        after.append(before[at])
                    at += 1
                elif mark == "+":
                    after.append(text)
        after += before[at:]
        put(f"patching file {path}\n")
        if names[1] == "/dev/null":
            os.unlink(path)
            return 0
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if os.path.lexists(path) and not os.path.islink(path):
            os.unlink(path)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(handle, "".join(after).encode("utf-8", "surrogateescape"))
        os.close(handle)
    except OSError as error:
        return complain("patch", f"**** Can't rename or open file {path} : {error.strerror}") + 1
    return 0


assert sys.version_info >= (3, 11)


@program("ld.so", "ld-linux-x86-64.so.2")
def loader(argv):
    """The loader run as a program: it reads and maps another one itself, so execve is not asked."""
    if len(argv) < 2 or argv[1].startswith("-"):
        raise Unmodelled("an option of the loader")
    try:
        call("load", argv[1], argv[1:])
    except OSError as error:
        what = "failed to map segment from shared object" if error.errno == 1 else "cannot open shared object file"
        os.write(2, f"{argv[1]}: error while loading shared libraries: {argv[1]}: {what}: {error.strerror}\n".encode())
    return 127


@program("x86_64-linux-gnu-gcc-12")
def compiler(argv):
    """The compiler says which one it is, and compiles nothing here."""
    if "--version" not in argv[1:]:
        raise Unmodelled("a compiled program")
    put(f"{argv[0].rpartition('/')[2]} (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022 Free Software Foundation, Inc.\n")
    return 0


@program("mawk")
def awk(argv):
    """Only `BEGIN { exit system("...") }`: awk as the way to another program."""
    found = re.fullmatch(r'\s*BEGIN\s*\{\s*exit system\("([^"]*)"\)\s*\}\s*', argv[1] if len(argv) == 2 else "")
    if found is None:
        raise Unmodelled("an awk program")
    pid = os.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", found[1]])
    status = os.waitpid(pid, 0)[1]
    return 256 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
