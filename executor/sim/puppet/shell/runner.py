"""Runs trees: lists, pipes, loops, functions, subshells."""

import os
import signal
import sys

from applets import content
from shell.commands import Commands
from shell.descriptors import Redirections
from shell.expansion import Expander, ShellError
from shell.parser import Parser
from shell.patterns import fits
from shell.registry import Leave, Return, code_of



def detach():
    """What a background command has of its own: no keyboard."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


CHECKED = {"simple", "pipe", "subshell"}
"""What ends a shell under `set -e` when it fails."""


class Shell(Expander, Commands, Redirections):
    """Runs trees. `final` says that nothing is left to do afterwards, `tested` that somebody looks at the code."""

    def __init__(self, name, arguments):
        super().__init__(name, arguments)
        self.functions, self.traps, self.pending = {}, {}, []
        self.locals = []
        """For each function that runs: the variables it made its own, and what they were."""
        self.loops = 0
        self.running = None
        """The builtin that runs."""
        self.tested = False
        """Whether somebody looks at the code of the command that runs."""
        self.kind = "sh"
        """The program's name: bash says some things otherwise."""
        self.variables["PWD"] = os.getcwd()

    def main(self, text):
        """A whole script: its exit code."""
        return self.ended(lambda: self.run_text(text, final=True))

    def ended(self, work):
        """The code of a shell that ends with `work`, and with what it wanted done at its end."""
        for step in (work, lambda: self.trapped("EXIT")):
            try:
                code = step()
                self.last = self.last if code is None else code
            except SystemExit as stop:
                self.last = stop.code
            except ShellError as error:
                self.say(str(error), error.within)
                self.last = 2
            except Return as back:
                self.last = back.code
            except Leave:
                pass
        return self.last

    def say(self, message, within=None):
        where = within or self.running
        line = f"{self.name}: {self.line}: {f'{where}: ' if where else ''}{message}\n"
        os.write(2, line.encode("utf-8", "surrogateescape"))

    def run_text(self, text, *, final=False, tested=False):
        """Line by line, as a shell reads it: what stands before a mistake has been done."""
        parser, code = Parser.of(text), 0
        while True:
            try:
                found = parser.line()
            except SyntaxError as error:
                self.line = error.lineno or parser.lexer.line
                raise ShellError(f"Syntax error: {error.msg}") from None
            if found is None:
                return code
            code = self.run(found[0], final=final and found[1], tested=tested)

    def leave(self, code):
        sys.stdout.flush()
        os._exit(code)

    def run(self, tree, *, final=False, tested=False):
        self.last = getattr(self, f"on_{tree[0]}")(*tree[1:], final=final and not self.traps, tested=tested)
        if self.pending:
            self.deliver()
        if self.last and "e" in self.options and not tested and tree[0] in CHECKED:
            raise SystemExit(self.last)
        return self.last

    def deliver(self):
        """Do what was wanted of signals that came."""
        while self.pending:
            self.trapped(self.pending.pop(0))

    def trapped(self, name):
        """Do what was wanted at the end or of a signal; the code stays what it was."""
        action = self.traps.get(name)
        if name == "EXIT":
            self.traps.pop(name, None)
        before = self.last
        if action:
            self.run_text(action)
        self.last = before

    def on_list(self, parts, *, final, tested):
        code = 0
        for number, one in enumerate(parts):
            code = self.run(one, final=final and number == len(parts) - 1, tested=tested)
        return code

    def on_and(self, left, right, *, final, tested):
        code = self.run(left, tested=True)
        return code or self.run(right, final=final, tested=tested)

    def on_or(self, left, right, *, final, tested):
        code = self.run(left, tested=True)
        return code and self.run(right, final=final, tested=tested)

    def on_not(self, body, *, final, tested):
        return int(self.run(body, tested=True) == 0)

    def on_if(self, condition, body, other, *, final, tested):
        if self.run(condition, tested=True) == 0:
            return self.run(body, final=final, tested=tested)
        return self.run(other, final=final, tested=tested) if other else 0

    def on_case(self, word, items, *, final, tested):
        value = self.text(word)
        for patterns, body in items:
            if any(fits(value, self.pattern(one)) for one in patterns):
                return self.run(body, final=final, tested=tested)
        return 0

    def on_function(self, name, body, *, final, tested):
        self.functions[name] = body
        return 0

    def turn(self, body, tested):
        """One turn of a loop: its code, and whether it was the last."""
        self.loops += 1
        try:
            return self.run(body, tested=tested), False
        except Leave as leave:
            leave.depth -= 1
            if leave.depth and self.loops > 1:
                raise
            return 0, leave.kind == "break"
        finally:
            self.loops -= 1

    def on_while(self, condition, body, *, final, tested, until=False):
        code, out = 0, False
        while not out:
            found, out = self.turn(condition, True)
            if out or (found == 0) == until:
                break
            code, out = self.turn(body, tested)
        return code

    def on_until(self, condition, body, *, final, tested):
        return self.on_while(condition, body, final=final, tested=tested, until=True)

    def on_for(self, name, words, body, *, final, tested):
        code = 0
        for item in list(self.arguments) if words is None else [one for word in words for one in self.words(word)]:
            self.put(name, item)
            code, out = self.turn(body, tested)
            if out:
                break
        return code

    def fork(self):
        try:
            pid = os.fork()
        except OSError:
            raise ShellError("Cannot fork") from None
        if pid == 0:
            for name, action in self.traps.items():
                if action and name != "EXIT":
                    signal.signal(signal.Signals[f"SIG{name}"], signal.SIG_DFL)
            self.traps = {name: action for name, action in self.traps.items() if not action}
        return pid

    def child(self, body, *, tested=False, first=None):
        """Be a subshell until its end, after `first`; a simple command takes its place."""

        def work():
            if first:
                first()
            return self.run(body, final=True, tested=tested)

        self.leave(self.ended(work))

    def awaited(self, pid):
        """The code of a child, with a word where a signal ended it."""
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) not in {2, 13}:
            os.write(2, f"{signal.strsignal(os.WTERMSIG(status))}\n".encode())
        return code_of(status)

    def on_subshell(self, body, redirections, line, *, final, tested):
        self.line = line
        pid = 0 if final else self.fork()
        if pid == 0:

            def prepare():
                if self.redirect(redirections, saved=None):
                    raise SystemExit(2)

            self.child(body, tested=tested, first=prepare)
        return self.awaited(pid)

    def on_background(self, body, *, final, tested):
        pid = self.fork()
        if pid == 0:
            self.child(body, first=detach)
        self.background = str(pid)
        return 0

    def on_pipe(self, parts, *, final, tested):
        previous, pids = None, []
        for number, part in enumerate(parts):
            ours, theirs = (None, None) if number == len(parts) - 1 else os.pipe()
            pid = self.fork()
            if pid == 0:
                for end, place in ((previous, 0), (theirs, 1)):
                    if end is not None:
                        os.dup2(end, place)
                        os.close(end)
                if ours is not None:
                    os.close(ours)
                self.child(part, tested=tested)
            for end in (previous, theirs):
                if end is not None:
                    os.close(end)
            previous = ours
            pids.append(pid)
        return [self.awaited(pid) for pid in pids][-1]

    def capture(self, tree):
        """What commands write."""
        ours, theirs = os.pipe()
        pid = self.fork()
        if pid == 0:
            os.dup2(theirs, 1)
            os.close(ours)
            os.close(theirs)
            self.child(tree)
        os.close(theirs)
        parts = b""
        while piece := os.read(ours, 65536):
            parts += piece
        os.close(ours)
        self.captured = self.awaited(pid)
        return parts.replace(b"\0", b"").decode("utf-8", "surrogateescape").rstrip("\n")

    def on_redirect(self, body, redirections, line, *, final, tested):
        self.line = line
        with self.redirected(redirections) as done:
            return self.run(body, tested=tested) if done else 2

    def run_file(self, path, opener=None):
        """A script in a file: its exit code."""
        try:
            text = content(path).decode("utf-8", "surrogateescape")
        except OSError as error:
            words = "No such file" if error.errno == 2 else error.strerror
            os.write(2, f"{opener or self.name}: 0: cannot open {path}: {words}\n".encode("utf-8", "surrogateescape"))
            return 2 if error.errno == 2 else 126
        return self.main(text)
