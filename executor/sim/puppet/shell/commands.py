"""Simple commands: special builtins, functions, builtins, programs."""

import os

from applets import find_program
from shell.expansion import ShellError
from shell.registry import BUILTINS, SPECIAL, Return


class Commands:
    """What a shell does with words that are a command."""

    def on_simple(self, assignments, words, redirections, line, *, final, tested):
        self.line, self.captured = line, None
        argv = [one for word in words for one in self.words(word)]
        found = [(name, self.text(parts)) for name, parts in assignments]
        if "x" in self.options and (argv or found):
            shown = " ".join([*(f"{name}={value}" for name, value in found), *argv])
            os.write(2, f"{self.variables.get('PS4', '')}{shown}\n".encode("utf-8", "surrogateescape"))
        if not argv:
            for name, value in found:
                self.put(name, value)
            with self.redirected(redirections) as done:
                return (self.captured or 0) if done else 2
        self.tested = tested
        return self.command(argv, found, redirections, final=final, functions=True)

    def command(self, argv, assignments, redirections, *, final=False, functions=False):
        """A special builtin, a function, a builtin or a program."""
        if argv[0] in SPECIAL:
            for name, value in assignments:
                self.put(name, value)
            if argv == ["exec"]:
                if self.redirect(redirections, saved=None):
                    raise SystemExit(2)
                return 0
            with self.redirected(redirections, needed=functions) as done:
                return self.builtin(argv) if done else 2
        function = self.functions.get(argv[0]) if functions else None
        if function or argv[0] in BUILTINS:
            with self.redirected(redirections) as done:
                if not done:
                    return 2
                return self.within(argv, assignments, function)
        pid = 0 if final else self.fork()
        if pid == 0:
            self.leave(self.ended(lambda: self.program(argv, assignments, redirections)))
        return self.awaited(pid)

    def within(self, argv, assignments, function):
        """A function or builtin, with variables of its own."""
        before = {}
        self.locals.append(before)
        loops, arguments = self.loops, self.arguments
        try:
            for name, value in assignments:
                self.keep(name)
                self.put(name, value)
                self.exported.add(name)
            if not function:
                return self.regular(argv)
            self.loops, self.arguments = 0, argv[1:]
            return self.run(function, tested=self.tested)
        except Return as back:
            if not function:
                raise
            return back.code
        finally:
            if function:
                self.loops, self.arguments = loops, arguments
            self.locals.pop()
            for name, (value, exported) in before.items():
                self.variables.pop(name, None)
                if value is not None:
                    self.variables[name] = value
                (self.exported.add if exported else self.exported.discard)(name)

    def keep(self, name):
        """Remember what a variable was before the function that runs."""
        self.locals[-1].setdefault(name, (self.variables.get(name), name in self.exported))

    def builtin(self, argv):
        before, self.running = self.running, argv[0]
        try:
            return BUILTINS[argv[0]](self, argv)
        except ShellError as error:
            error.within = error.within or argv[0]
            raise
        finally:
            self.running = before

    def regular(self, argv):
        """A builtin whose mistakes are only its own."""
        try:
            return self.builtin(argv)
        except ShellError as error:
            self.say(str(error), error.within)
            return 2
        except BrokenPipeError:
            raise SystemExit(141) from None
        except OSError as error:
            self.say("I/O error" if argv[0] in {"echo", "printf"} else error.strerror, argv[0])
            return 1

    def program(self, argv, assignments, redirections):
        """In a child of its own: become a program."""
        self.traps.pop("EXIT", None)
        if self.redirect(redirections, saved=None):
            return 2
        return self.execute(argv, dict(assignments))

    def execute(self, argv, extra):
        """Become a program: returns only when it did not work, with the exit code."""
        environment = {name: self.variables[name] for name in self.exported if name in self.variables} | extra
        last, code = 2, 127
        for path in find_program(argv[0], self.variables.get("PATH")):
            if "/" not in argv[0] and not os.access(path, os.X_OK):
                last = 13 if os.path.isfile(path) else last
                continue
            try:
                os.execve(path, argv, environment)
            except OSError as error:
                if error.errno == 8:
                    return type(self)(path, argv[1:]).run_file(path)
                if error.errno not in {2, 20}:
                    last, code = error.errno, 126
        self.say(f"{argv[0]}: {'not found' if last == 2 else os.strerror(last)}")
        return code
