"""Runs trees: lists, pipes, loops, redirections, commands."""

import os
import re
import signal
import sys

from applets import PROGRAMS, content, find_program
from shell.builtins import BUILTINS, INNER, Leave, code_of
from shell.expansion import Expander
from shell.parser import Parser
from shell.tokens import tokens
from shim import call

SPECIAL = {":", ".", "break", "continue", "eval", "exec", "exit", "export", "return", "set", "shift", "trap", "unset"}
"""Builtins with which a redirection that cannot be made ends the shell, as POSIX says."""


class Shell(Expander):
    """Runs trees."""

    def __init__(self, name, arguments):
        super().__init__(name, arguments)
        self.stop, self.trace = False, False
        self.exits = False
        """Whether the simple command that comes is all that is left of this process."""

    def substitute(self, script):
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(theirs, 1)
            os.close(ours)
            self.leave(self.run_text(script))
        os.close(theirs)
        parts = b""
        while piece := os.read(ours, 65536):
            parts += piece
        os.close(ours)
        self.last = code_of(os.waitpid(pid, 0)[1])
        return parts.decode("utf-8", "surrogateescape").rstrip("\n")

    def run_text(self, script):
        try:
            tree = Parser(tokens(script)).sequence()
        except (SyntaxError, ValueError, IndexError) as error:
            os.write(2, f"{self.name}: 1: Syntax error: {error}\n".encode())
            return 2
        try:
            return self.run(tree)
        except SystemExit as stop:
            return stop.code

    def leave(self, code):
        sys.stdout.flush()
        os._exit(code)

    def run(self, tree):
        self.last = getattr(self, f"on_{tree[0]}")(*tree[1:])
        return self.last

    def on_list(self, parts):
        code = 0
        for one in parts:
            code = self.run(one)
            if self.stop and code and one[0] in {"simple", "pipe", "subshell"}:
                raise SystemExit(code)
        return code

    def on_and(self, left, right):
        return self.run(right) if self.run(left) == 0 else self.last

    def on_or(self, left, right):
        return self.last if self.run(left) == 0 else self.run(right)

    def on_not(self, body):
        return int(self.run(body) == 0)

    def on_if(self, condition, body, other):
        if self.quietly(condition) == 0:
            return self.run(body)
        return self.run(other) if other else 0

    def quietly(self, condition):
        before, self.stop = self.stop, False
        try:
            return self.run(condition)
        finally:
            self.stop = before

    def loop(self, body):
        try:
            return self.run(body), False
        except Leave as leave:
            return 0, leave.kind == "break"

    def on_while(self, condition, body, *, until=False):
        code = 0
        while (self.quietly(condition) == 0) != until:
            code, out = self.loop(body)
            if out:
                break
        return code

    def on_until(self, condition, body):
        return self.on_while(condition, body, until=True)

    def on_for(self, name, words, body):
        code = 0
        items = self.arguments if words is None else [one for word in words for one in self.words(word)]
        for item in items:
            self.variables[str(name)] = item
            code, out = self.loop(body)
            if out:
                break
        return code

    def on_subshell(self, body):
        pid = self.fork()
        if pid == 0:
            self.leave(self.guarded(body))
        return code_of(os.waitpid(pid, 0)[1])

    def fork(self):
        try:
            return os.fork()
        except OSError:
            os.write(2, f"{self.name}: 1: Cannot fork\n".encode())
            raise SystemExit(2) from None

    def guarded(self, body):
        """Run a child's body; one that is a simple command takes the child's place, as dash has it."""
        self.exits = body[0] == "simple"
        try:
            return self.run(body)
        except SystemExit as stop:
            return stop.code

    def on_background(self, body):
        pid = self.fork()
        if pid == 0:
            signal.signal(2, signal.SIG_IGN)
            self.leave(self.guarded(body))
        self.background = pid
        return 0

    def on_pipe(self, parts):
        previous, pids = None, []
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            ours, theirs = (None, None) if last else os.pipe()
            pid = self.fork()
            if pid == 0:
                if previous is not None:
                    os.dup2(previous, 0)
                    os.close(previous)
                if theirs is not None:
                    os.dup2(theirs, 1)
                    os.close(theirs)
                    os.close(ours)
                self.leave(self.guarded(part))
            if previous is not None:
                os.close(previous)
            if theirs is not None:
                os.close(theirs)
            previous = ours
            pids.append(pid)
        code = 0
        for pid in pids:
            code = code_of(os.waitpid(pid, 0)[1])
        return code

    def redirect(self, redirections):
        """Do them; what has to be put back afterwards."""
        saved = []
        for number, kind, word in redirections:
            target = self.text(word)
            if kind in {"<&", ">&"}:
                source = None if target == "-" else int(target)
            else:
                flags = {"<": os.O_RDONLY, ">": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                         ">>": os.O_WRONLY | os.O_CREAT | os.O_APPEND}[kind]  # fmt: skip
                try:
                    source = os.open(target, flags, 0o666)
                except OSError as error:
                    self.restore(saved)
                    verb = "open" if kind == "<" else "create"
                    words = "No such file" if error.errno == 2 and kind == "<" else error.strerror
                    if error.errno == 2 and kind != "<":
                        words = "Directory nonexistent"
                    os.write(2, f"{self.name}: 1: cannot {verb} {target}: {words}\n".encode())
                    return None
            try:
                saved.append((number, call("dup_high", number)))
            except OSError:
                saved.append((number, None))
            if source is None:
                os.close(number)
            else:
                os.dup2(source, number)
                if kind not in {"<&", ">&"}:
                    os.close(source)
        return saved

    def restore(self, saved):
        for number, old in reversed(saved):
            if old is None:
                os.close(number)
            else:
                os.dup2(old, number)
                os.close(old)

    def on_redirect(self, body, redirections):
        saved = self.redirect(redirections)
        if saved is None:
            return 2
        try:
            return self.run(body)
        finally:
            self.restore(saved)

    def on_simple(self, words, redirections):
        exits, self.exits = self.exits, False
        assignments, rest = [], list(words)
        while rest and (found := re.match(r"([A-Za-z_]\w*)=", rest[0])):
            assignments.append((found[1], self.text(rest.pop(0)[found.end() :])))
        argv = [one for word in rest for one in self.words(word)]
        if self.trace and argv:
            os.write(2, f"+ {' '.join(argv)}\n".encode())
        if not argv:
            self.last = 0 if not rest else self.last
            self.variables.update(assignments)
            saved = self.redirect(redirections)
            if saved is None:
                return 2
            self.restore(saved)
            return self.last
        builtin = BUILTINS.get(argv[0])
        if builtin or argv[0] in INNER:
            saved = self.redirect(redirections)
            if saved is None:
                if argv[0] in SPECIAL:
                    raise SystemExit(2)
                return 2
            if argv[0] == "exec" and len(argv) == 1:
                return 0
            self.variables.update(assignments)
            try:
                return builtin(self, argv) if builtin else PROGRAMS[argv[0]](argv)
            except OSError as error:
                if error.errno == 32:
                    raise SystemExit(141) from None
                os.write(2, f"{self.name}: 1: {argv[0]}: {error.strerror}\n".encode())
                return 1
            finally:
                self.restore(saved)
        pid = 0 if exits else self.fork()
        if pid == 0:
            if self.redirect(redirections) is None:
                self.leave(2)
            self.leave(self.execute(argv, dict(assignments)))
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) not in {2, 13}:
            words = {9: "Killed", 31: "Bad system call", 11: "Segmentation fault", 15: "Terminated", 6: "Aborted"}
            os.write(2, f"{words.get(os.WTERMSIG(status), 'Killed')}\n".encode())
        return code_of(status)

    def execute(self, argv, extra):
        environment = {name: self.variables[name] for name in self.exported if name in self.variables} | extra
        last = 2
        found = find_program(argv[0], self.variables.get("PATH"))
        for path in found if "/" in argv[0] else [one for one in found if os.access(one, os.X_OK)]:
            try:
                os.execve(path, argv, environment)
            except OSError as error:
                if error.errno == 8:
                    return Shell(path, argv[1:]).run_file(path)
                last = error.errno if error.errno not in {2, 20} else last
        text = "not found" if last == 2 else os.strerror(last)
        os.write(2, f"{self.name}: 1: {argv[0]}: {text}\n".encode())
        return 127 if last == 2 else 126

    def run_file(self, path):
        try:
            text = content(path).decode("utf-8", "surrogateescape")
        except OSError as error:
            words = "No such file" if error.errno == 2 else error.strerror
            os.write(2, f"{self.name}: 0: cannot open {path}: {words}\n".encode())
            return 2 if error.errno == 2 else 126
        return self.run_text(text)
