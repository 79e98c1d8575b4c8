"""The table of what a shell does itself, and the ways out of a command."""

import os

BUILTINS = {}
"""Name -> what does it, given the shell and the words."""
SPECIAL = {":", ".", "break", "continue", "eval", "exec", "exit", "export", "local", "readonly", "return", "set", "shift", "times",
           "trap", "unset"}  # fmt: skip
"""Builtins whose mistakes end the shell, and which no function hides, as POSIX says."""


def builtin(*names):
    """Registers a builtin under its names."""

    def register(function):
        BUILTINS.update(dict.fromkeys(names, function))
        return function

    return register


class Leave(Exception):
    """break and continue, out of so many loops."""

    def __init__(self, kind, depth):
        super().__init__(kind)
        self.kind, self.depth = kind, depth


class Return(Exception):
    """return, out of a function or a file."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


def code_of(status):
    """What a shell makes of how a child ended."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
