"""Programs that tell who and where one is, and what time it is."""

import os
import time

from applets.registry import complain, content, options, program, put
from shim import call


@program("pwd")
def pwd(_argv):
    put(os.getcwd() + "\n")
    return 0


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
