"""Programs that move bytes: tee, dd."""

import os

from applets.registry import complain, options, program, size_of
from shim import Unmodelled


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
