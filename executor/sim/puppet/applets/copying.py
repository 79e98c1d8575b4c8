"""Programs that copy, move and link files."""

import os
import stat

from applets.registry import complain, content, options, program
from shim import Unmodelled


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
