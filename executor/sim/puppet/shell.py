"""A shell as far as scenarios use one: words, quotes, variables, redirections, pipes, lists, if, for, while, subshells.

What it does not know (functions, here-documents, case, arithmetic beyond integers) is Unmodelled.
"""

import fnmatch
import os
import re
import signal
import sys

import applets
from shim import Unmodelled, call

PROGRAMS = {}
OPERATORS = ("&&", "||", ";;", ">>", "<&", ">&", "<<", ";", "&", "|", "<", ">", "(", ")", "\n")
KEYWORDS = {"if", "then", "else", "elif", "fi", "for", "in", "do", "done", "while", "until", "{", "}", "!"}


class Word(str):
    """Text of the script as it stands there, quotes included."""


class Operator(str):
    """An operator between words."""


def tokens(text):
    """Words and operators of `text`; quoting stays in the words."""
    found, at, word = [], 0, ""

    def flush():
        nonlocal word
        if word:
            found.append(Word(word))
            word = ""

    while at < len(text):
        char = text[at]
        if char in " \t":
            flush()
            at += 1
        elif char == "#" and not word:
            while at < len(text) and text[at] != "\n":
                at += 1
        elif char == "\\":
            if text[at + 1 : at + 2] != "\n":
                word += text[at : at + 2]
            at += 2
        elif char == "'":
            end = text.index("'", at + 1)
            word += text[at : end + 1]
            at = end + 1
        elif char == '"':
            end = at + 1
            while text[end] != '"':
                if text.startswith("$(", end):
                    end = closing(text, end + 1)
                else:
                    end += 2 if text[end] == "\\" else 1
            word += text[at : end + 1]
            at = end + 1
        elif text.startswith("$(", at):
            end = closing(text, at + 1)
            word += text[at:end]
            at = end
        elif text.startswith("${", at):
            end = text.index("}", at) + 1
            word += text[at:end]
            at = end
        elif char == "`":
            end = text.index("`", at + 1) + 1
            word += text[at:end]
            at = end
        else:
            operator = next((one for one in OPERATORS if text.startswith(one, at)), None)
            if operator is None:
                word += char
                at += 1
                continue
            number = word if operator[0] in "<>" and word.isdecimal() else None
            if number is None:
                flush()
            word = ""
            if operator == "<<":
                raise Unmodelled("a here-document")
            found.append(Operator((number or "") + operator))
            at += len(operator)
    flush()
    return found


def closing(text, at):
    """Behind the parenthesis that closes the one at `at`."""
    depth = 0
    while True:
        if text[at] == "'":
            at = text.index("'", at + 1)
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
        if depth == 0:
            return at


class Parser:
    """Tokens to a tree of tuples."""

    def __init__(self, found):
        self.tokens, self.at = found, 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def operator(self, *wanted):
        one = self.peek()
        return isinstance(one, Operator) and one in wanted

    def keyword(self, *wanted):
        one = self.peek()
        return isinstance(one, Word) and one in wanted

    def newlines(self):
        while self.operator("\n"):
            self.next()

    def sequence(self, *ends):
        made = []
        self.newlines()
        while self.peek() is not None and not self.keyword(*ends) and not self.operator(")", ";;"):
            one = self.both()
            background = self.operator("&")
            made.append(("background", one) if background else one)
            if self.operator(";", "&", "\n"):
                self.next()
            self.newlines()
        return ("list", made)

    def both(self):
        left = self.pipeline()
        while self.operator("&&", "||"):
            kind = self.next()
            self.newlines()
            left = ("and" if kind == "&&" else "or", left, self.pipeline())
        return left

    def pipeline(self):
        negate = False
        while self.keyword("!"):
            self.next()
            negate = not negate
        parts = [self.command()]
        while self.operator("|"):
            self.next()
            self.newlines()
            parts.append(self.command())
        made = parts[0] if len(parts) == 1 else ("pipe", parts)
        return ("not", made) if negate else made

    def want(self, word):
        if not self.keyword(word):
            raise SyntaxError(f"expected {word}")
        self.next()

    def command(self):
        if self.operator("("):
            self.next()
            body = self.sequence()
            if not self.operator(")"):
                raise SyntaxError("expected )")
            self.next()
            return self.redirected(("subshell", body))
        if self.keyword("{"):
            self.next()
            body = self.sequence("}")
            self.want("}")
            return self.redirected(body)
        if self.keyword("if"):
            self.next()
            return self.redirected(self.branch())
        if self.keyword("while", "until"):
            kind = self.next()
            condition = self.sequence("do")
            self.want("do")
            body = self.sequence("done")
            self.want("done")
            return self.redirected((kind, condition, body))
        if self.keyword("for"):
            self.next()
            name, words = self.next(), None
            if self.keyword("in"):
                self.next()
                words = []
                while not self.operator(";", "\n"):
                    words.append(self.next())
            if self.operator(";"):
                self.next()
            self.newlines()
            self.want("do")
            body = self.sequence("done")
            self.want("done")
            return self.redirected(("for", name, words, body))
        if self.keyword("case", "function"):
            raise Unmodelled("a shell's case or function")
        return self.simple()

    def branch(self):
        condition = self.sequence("then")
        self.want("then")
        body = self.sequence("elif", "else", "fi")
        other = None
        if self.keyword("elif"):
            self.next()
            return ("if", condition, body, self.branch())
        if self.keyword("else"):
            self.next()
            other = self.sequence("fi")
        self.want("fi")
        return ("if", condition, body, other)

    def redirections(self, into):
        while isinstance(self.peek(), Operator) and self.peek().lstrip("0123456789") in {"<", ">", ">>", "<&", ">&"}:
            operator = self.next()
            kind = operator.lstrip("0123456789")
            number = operator[: len(operator) - len(kind)]
            into.append((int(number) if number else (0 if kind[0] == "<" else 1), kind, self.next()))

    def redirected(self, body):
        found = []
        self.redirections(found)
        return ("redirect", body, found) if found else body

    def simple(self):
        words, redirections = [], []
        while True:
            self.redirections(redirections)
            one = self.peek()
            if one is None or isinstance(one, Operator):
                if isinstance(one, Operator) and one == "(" and len(words) == 1:
                    raise Unmodelled("a shell function")
                break
            words.append(self.next())
        if not words and not redirections:
            raise SyntaxError(f"unexpected {self.peek()!r}")
        return ("simple", words, redirections)


class Leave(Exception):
    """break and continue."""

    def __init__(self, kind):
        super().__init__(kind)
        self.kind = kind


class Shell:
    """Runs trees."""

    def __init__(self, name, arguments):
        self.name, self.arguments = name, arguments
        self.variables, self.exported = dict(os.environ), set(os.environ)
        self.last, self.background, self.stop, self.trace = 0, 0, False, False
        self.exits = False
        """Whether the simple command that comes is all that is left of this process."""
        self.kept = {}

    # Words -------------------------------------------------------------------------------------------------------

    def parameter(self, name):
        if name == "?":
            return str(self.last)
        if name == "$":
            return str(os.getpid())
        if name == "!":
            return str(self.background)
        if name == "#":
            return str(len(self.arguments))
        if name in {"@", "*"}:
            return " ".join(self.arguments)
        if name.isdecimal():
            return self.name if name == "0" else (
                self.arguments[int(name) - 1] if int(name) <= len(self.arguments) else "")  # fmt: skip
        return self.variables.get(name, "")

    def braces(self, inside):
        if re.fullmatch(r"\w+|[?$!#@*]", inside):
            return self.parameter(inside)
        if found := re.fullmatch(r"#(\w+)", inside):
            return str(len(self.parameter(found[1])))
        found = re.fullmatch(r"(\w+|[@*]):?([-+=?])(.*)", inside, re.DOTALL)
        if not found:
            raise Unmodelled(f"${{{inside}}}")
        value = self.parameter(found[1])
        if found[2] == "+":
            return self.text(found[3]) if value else ""
        if not value:
            value = self.text(found[3])
            if found[2] == "=":
                self.variables[found[1]] = value
            elif found[2] == "?":
                raise Unmodelled("${name:?}")
        return value

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

    def pieces(self, word):
        """(text, quoted) of a word's parts, expanded."""
        at = 0
        while at < len(word):
            char = word[at]
            if char == "'":
                end = word.index("'", at + 1)
                yield word[at + 1 : end], True
                at = end + 1
            elif char == "\\":
                yield word[at + 1 : at + 2], True
                at += 2
            elif char == '"':
                inner, at = at + 1, at + 1
                while word[at] != '"':
                    at = closing(word, at + 1) if word.startswith("$(", at) else at + (2 if word[at] == "\\" else 1)
                yield "".join(text for text, _ in self.inside(word[inner:at])), True
                at += 1
            elif char in "$`":
                text, at = self.dollar(word, at)
                yield text, False
            else:
                end = at
                while end < len(word) and word[end] not in "'\"\\$`":
                    end += 1
                yield word[at:end], None
                at = end

    def inside(self, text):
        """Parts of what stands in double quotes."""
        at = 0
        while at < len(text):
            if text[at] == "\\":
                following = text[at + 1 : at + 2]
                yield (following if following in '$`"\\' else "\\" + following), True
                at += 2
            elif text[at] in "$`":
                value, at = self.dollar(text, at)
                yield value, True
            else:
                yield text[at], True
                at += 1

    def dollar(self, text, at):
        """The expansion at `at`, and where it ends."""
        if text[at] == "`":
            end = text.index("`", at + 1)
            return self.substitute(text[at + 1 : end]), end + 1
        if text.startswith("$((", at):
            end = closing(text, at + 1)
            return str(self.arithmetic(text[at + 3 : end - 2])), end
        if text.startswith("$(", at):
            end = closing(text, at + 1)
            return self.substitute(text[at + 2 : end - 1]), end
        if text.startswith("${", at):
            end = text.index("}", at)
            return self.braces(text[at + 2 : end]), end + 1
        found = re.compile(r"\$(\w+|[?$!#@*])").match(text, at)
        if not found:
            return "$", at + 1
        name = found[1]
        if name[0].isdecimal():
            name = name[0]
        return self.parameter(name), at + 1 + len(name)

    def arithmetic(self, text):
        filled = re.sub(r"\$?([A-Za-z_]\w*)", lambda m: self.parameter(m[1]) or "0", text)
        if not re.fullmatch(r"[\d\s+\-*/%()<>=!&|]*", filled):
            raise Unmodelled(f"$(({text}))")
        tree = applets_calculate(filled)
        return int(tree)

    def text(self, word):
        """A word as one string."""
        return "".join(text for text, _ in self.pieces(word))

    def words(self, word):
        """A word as the words it expands to."""
        if word in {'"$@"', "$@"}:
            return list(self.arguments)
        fields, started, magic = [""], False, False
        for text, quoted in self.pieces(word):
            if quoted is False:
                parts = text.split()
                if text[:1].isspace() and fields[-1]:
                    fields.append("")
                for number, part in enumerate(parts):
                    if number:
                        fields.append("")
                    fields[-1] += part
                if parts and text[-1:].isspace():
                    fields.append("")
                started |= bool(parts)
            else:
                fields[-1] += re.sub(r"([*?\[])", r"[\1]", text) if quoted else text
                magic |= quoted is None and bool(set("*?[") & set(text))
                started |= bool(text) or bool(quoted)
        if fields[-1] == "" and len(fields) > 1:
            fields.pop()
        if not started:
            return []
        found = []
        for one in fields:
            plain = re.sub(r"\[([*?\[])\]", r"\1", one)
            matches = matching(one) if magic else []
            found += matches or [plain]
        return found

    # Running -----------------------------------------------------------------------------------------------------

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
        builtin = getattr(self, f"do_{BUILTINS.get(argv[0], '')}", None) if argv[0] in BUILTINS else None
        if builtin or argv[0] in INNER:
            saved = self.redirect(redirections)
            if saved is None:
                if argv[0] == "exec":
                    raise SystemExit(2)
                return 2
            if argv[0] == "exec" and len(argv) == 1:
                return 0
            self.variables.update(assignments)
            try:
                return builtin(argv) if builtin else applets.PROGRAMS[argv[0]](argv)
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
        found = applets.find_program(argv[0], self.variables.get("PATH"))
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
            text = applets.content(path).decode("utf-8", "surrogateescape")
        except OSError as error:
            words = "No such file" if error.errno == 2 else error.strerror
            os.write(2, f"{self.name}: 0: cannot open {path}: {words}\n".encode())
            return 2 if error.errno == 2 else 126
        return self.run_text(text)

    # Builtins ----------------------------------------------------------------------------------------------------

    def do_colon(self, _argv):
        return 0

    def do_cd(self, argv):
        try:
            os.chdir(argv[1] if len(argv) > 1 else self.variables.get("HOME", "/"))
        except OSError as error:
            os.write(2, f"{self.name}: 1: cd: can't cd to {argv[1]}\n".encode())
            return 2 if error.errno else 1
        self.variables["PWD"] = os.getcwd()
        return 0

    def do_exit(self, argv):
        raise SystemExit(int(argv[1]) & 255 if len(argv) > 1 else self.last)

    def do_export(self, argv):
        for one in argv[1:]:
            name, equals, value = one.partition("=")
            if equals:
                self.variables[name] = value
            self.exported.add(name)
        return 0

    def do_unset(self, argv):
        for name in argv[1:]:
            self.variables.pop(name, None)
        return 0

    def do_set(self, argv):
        for one in argv[1:]:
            if one in {"-e", "+e", "-u", "-x", "+x", "-eu", "-ex", "-eux"}:
                self.stop = one.startswith("-") if "e" in one else self.stop
                self.trace = one.startswith("-") if "x" in one else self.trace
            else:
                raise Unmodelled(f"set {one}")
        return 0

    def do_exec(self, argv):
        raise SystemExit(self.execute(argv[1:], {}))

    def do_wait(self, argv):
        code = 0
        try:
            if len(argv) > 1:
                for one in argv[1:]:
                    code = code_of(os.waitpid(int(one), 0)[1])
                return code
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            return code

    def do_umask(self, argv):
        if len(argv) == 1:
            now = os.umask(0)
            os.umask(now)
            applets.put(f"{now:04o}\n")
        else:
            os.umask(int(argv[1], 8))
        return 0

    def do_ulimit(self, argv):
        import resource

        kinds = {"-n": (7, 1), "-f": (1, 512), "-c": (4, 512), "-u": (6, 1), "-v": (9, 1024), "-s": (3, 1024)}
        hard = "-H" in argv
        words = [one for one in argv[1:] if one not in {"-H", "-S"}] or ["-f"]
        if words[0] not in kinds:
            raise Unmodelled(f"ulimit {words[0]}")
        kind, unit = kinds[words[0]]
        soft, top = resource.getrlimit(kind)
        if len(words) == 1:
            value = top if hard else soft
            applets.put("unlimited\n" if value < 0 or value >= 1 << 62 else f"{value // unit}\n")
            return 0
        value = resource.RLIM_INFINITY if words[1] == "unlimited" else int(words[1]) * unit
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):
            os.write(2, f"{self.name}: 1: ulimit: error setting limit (Operation not permitted)\n".encode())
            return 2
        return 0

    def do_trap(self, argv):
        if len(argv) > 2 and argv[1] == "":
            for name in argv[2:]:
                number = int(name) if name.isdecimal() else getattr(signal, f"SIG{name.removeprefix('SIG')}")
                signal.signal(number, signal.SIG_IGN)
            return 0
        raise Unmodelled("trap with an action")

    def do_read(self, argv):
        names = [one for one in argv[1:] if not one.startswith("-")] or ["REPLY"]
        text, ended = b"", True
        while char := os.read(0, 1):
            if char == b"\n":
                ended = False
                break
            text += char
        fields = text.decode("utf-8", "surrogateescape").split(None, len(names) - 1)
        for number, name in enumerate(names):
            self.variables[name] = fields[number].strip() if number < len(fields) else ""
        return int(ended)

    def do_shift(self, argv):
        del self.arguments[: int(argv[1]) if len(argv) > 1 else 1]
        return 0

    def do_break(self, _argv):
        raise Leave("break")

    def do_continue(self, _argv):
        raise Leave("continue")

    def do_command(self, argv):
        if argv[1:2] == ["-v"]:
            name = argv[2]
            if name in BUILTINS or name in INNER:
                applets.put(name + "\n")
                return 0
            for path in applets.find_program(name, self.variables.get("PATH")):
                if os.access(path, os.X_OK):
                    applets.put(path + "\n")
                    return 0
            return 127
        return self.on_simple([Word(f"'{one}'") for one in argv[1:]], [])

    def do_dot(self, argv):
        try:
            return self.run_text(applets.content(argv[1]).decode())
        except OSError as error:
            os.write(2, f"{self.name}: 1: .: {argv[1]}: {error.strerror}\n".encode())
            raise SystemExit(2) from None

    def do_eval(self, argv):
        return self.run_text(" ".join(argv[1:]))


BUILTINS = {":": "colon", "cd": "cd", "exit": "exit", "export": "export", "unset": "unset", "set": "set", "exec": "exec",
            "wait": "wait", "umask": "umask", "ulimit": "ulimit", "trap": "trap", "read": "read", "shift": "shift",
            "break": "break", "continue": "continue", "command": "command", ".": "dot", "eval": "eval",
            "readonly": "export"}  # fmt: skip
INNER = {"echo", "printf", "true", "false", "test", "[", "pwd", "kill"}
"""Applets a shell has built in."""


def code_of(status):
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def matching(pattern):
    """Paths that fit a pattern, sorted; none when nothing does."""
    parts = pattern.split("/")
    found = ["/"] if pattern.startswith("/") else [""]
    for part in parts:
        if not part:
            continue
        deeper = []
        for base in found:
            if not set("*?[") & set(part):
                if os.path.lexists(base + part):
                    deeper.append(base + part + "/")
                continue
            try:
                names = os.listdir(base or ".")
            except OSError:
                continue
            deeper += [
                base + name + "/" for name in sorted(names)
                if fnmatch.fnmatchcase(name, part) and (not name.startswith(".") or part.startswith("."))
            ]  # fmt: skip
        found = deeper
    return sorted(one.rstrip("/") for one in found)


def applets_calculate(text):
    """An integer expression without names."""
    import ast

    def value(node):
        if isinstance(node, ast.Expression):
            return value(node.body)
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd, ast.Not)):
            inner = value(node.operand)
            return -inner if isinstance(node.op, ast.USub) else inner if isinstance(node.op, ast.UAdd) else int(not inner)
        if isinstance(node, ast.BinOp):
            left, right = value(node.left), value(node.right)
            made = {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right}
            if type(node.op) in made:
                return made[type(node.op)]
            if isinstance(node.op, (ast.Div, ast.FloorDiv)):
                return int(left / right)
            if isinstance(node.op, ast.Mod):
                return left % right
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = value(node.left), value(node.comparators[0])
            table = {ast.Lt: left < right, ast.LtE: left <= right, ast.Gt: left > right, ast.GtE: left >= right,
                     ast.Eq: left == right, ast.NotEq: left != right}  # fmt: skip
            return int(table[type(node.ops[0])])
        raise Unmodelled(f"$(({text}))")

    return value(ast.parse(text.strip() or "0", mode="eval"))


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
        text, shell = applets.content("-").decode(), Shell(argv[0], [])
    shell.stop, shell.trace = stop, trace
    return shell.run_text(text)


for _name in ("dash", "bash", "sh"):
    PROGRAMS[_name] = main
