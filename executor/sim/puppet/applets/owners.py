"""chmod, chown and chgrp."""

import os
import re
import stat

from applets.registry import complain, options, program
from shim import Unmodelled


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
