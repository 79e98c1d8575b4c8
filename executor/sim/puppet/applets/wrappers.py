"""Programs that run another one, wait or signal: env, timeout, xargs, sleep, kill."""

import os
import time

from applets.registry import complain, content, program, put, run
from shim import Unmodelled, call


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
