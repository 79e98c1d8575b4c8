"""Programs that show files: cat, head, tail, wc."""

import os
import re

from applets.registry import complain, content, each, options, program, put, size_of
from shim import Unmodelled


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
