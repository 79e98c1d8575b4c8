"""A POSIX shell as dash is one; what it does not know (jobs, aliases, getopts) is Unmodelled."""

from applets import content
from shell import builtins, names, output, surroundings
from shell.names import set_
from shell.runner import Shell
from shim import Unmodelled

FAMILIES = (builtins, names, output, surroundings)
"""Imported for what they register."""
PROGRAMS = {}


def main(argv):
    words, given, script, stream = list(argv[1:]), ["set"], False, False
    while words and words[0].startswith("-") and words[0] != "-":
        flag = words.pop(0)
        if flag == "--":
            break
        if set(flag) & set("ilv") or flag.startswith("--"):
            raise Unmodelled(f"sh {flag}")
        script |= "c" in flag
        stream |= "s" in flag
        if letters := flag[1:].replace("c", "").replace("s", ""):
            given += [f"-{letters}", *([words.pop(0)] if "o" in letters else [])]
    text = words.pop(0) if script else None
    shell = Shell(argv[0], words) if stream else Shell(words[0] if words else argv[0], words[1:])
    shell.kind = argv[0].rpartition("/")[2]
    if len(given) > 1:
        set_(shell, given)
    if script:
        return shell.main(text)
    return shell.run_file(words[0], argv[0]) if words and not stream else shell.main(content("-").decode("utf-8", "surrogateescape"))


for _name in ("dash", "bash", "sh"):
    PROGRAMS[_name] = main
