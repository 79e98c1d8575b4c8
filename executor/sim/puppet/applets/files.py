"""Programs that make and remove files: mkdir, rm, touch, truncate, mktemp, mkfifo."""

import os
import stat

from applets.registry import complain, options, over, program, put, size_of
from shim import call


@program("mkdir")
def mkdir(argv):
    known, rest = options(argv, "pv", "m")

    def made(path):
        if "p" in known:
            os.makedirs(path, exist_ok=True)
        else:
            os.mkdir(path, int(known.get("m", "777"), 8))

    return over("mkdir", rest, made, "cannot create directory")


@program("rmdir")
def rmdir(argv):
    return over("rmdir", options(argv, "")[1], os.rmdir, "failed to remove")


@program("touch")
def touch(argv):
    known, rest = options(argv, "cam")
    flags = os.O_WRONLY | (0 if "c" in known else os.O_CREAT) | os.O_NONBLOCK | os.O_NOCTTY

    def touched(path):
        try:
            os.close(os.open(path, flags, 0o666))
        except OSError as error:
            if "c" in known and error.errno == 2:
                return
            if error.errno != 21:
                raise
        os.utime(path)

    return over("touch", rest, touched, "cannot touch", "missing file operand")


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
