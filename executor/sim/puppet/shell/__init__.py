"""A shell as far as scenarios use one: words, quotes, variables, redirections, pipes, lists, if, for, while, subshells.

What it does not know (functions, here-documents, case, arithmetic beyond integers) is Unmodelled.
"""

from applets import content
from shell.runner import Shell
from shim import Unmodelled

PROGRAMS = {}


def main(argv):
    words = list(argv[1:])
    stop = trace = False
    script = None
    while words and words[0].startswith("-") and words[0] != "-":
        flag = words.pop(0)
        if flag == "--":
            break
        for letter in flag[1:]:
            if letter == "c":
                script = True
            elif letter in "eux":
                stop |= letter == "e"
                trace |= letter == "x"
            else:
                raise Unmodelled(f"sh {flag}")
    if script:
        text = words.pop(0)
        shell = Shell(words[0] if words else argv[0], words[1:])
    elif words:
        shell = Shell(words[0], words[1:])
        shell.stop, shell.trace = stop, trace
        return shell.run_file(words[0])
    else:
        text, shell = content("-").decode(), Shell(argv[0], [])
    shell.stop, shell.trace = stop, trace
    return shell.run_text(text)


for _name in ("dash", "bash", "sh"):
    PROGRAMS[_name] = main
