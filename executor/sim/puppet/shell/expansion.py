"""What words expand to: parameters, commands, arithmetic, fields, file names."""

import os
import pwd
import re

from shell.arithmetic import Calculator, Wrong
from shell.patterns import matching, trimmed

BREAK = (None, False, False)
"""Between two words inside an expansion, as `$@` has them."""
BLANKS = " \t\n"


LETTERS = "uaCxfe"
"""Options in the order of `$-`."""


class ShellError(Exception):
    """Ends a shell that nobody types into, with 2; `within` the builtin of that name."""

    within = None


class Expander:
    """A shell's variables, and words in their light. Who runs commands adds `capture`."""

    def __init__(self, name, arguments):
        self.name, self.arguments = name, arguments
        self.variables, self.exported, self.constant = dict(os.environ), set(os.environ), set()
        self.variables |= {"IFS": BLANKS, "OPTIND": "1", "PS4": self.variables.get("PS4", "+ "), "PPID": str(os.getppid())}
        self.last, self.background, self.line = 0, "", 1
        self.captured = None
        """The exit code of the command that was substituted last."""
        self.options = set()
        """Letters of `set` that are on."""
        self.pid = os.getpid()
        """`$$`: also in a subshell the shell's own."""

    def put(self, name, value):
        """Give a variable a value."""
        if name in self.constant:
            raise ShellError(f"{name}: is read only")
        self.variables[name] = value
        if "a" in self.options:
            self.exported.add(name)

    def parameter(self, name):
        """A parameter's value; None where it is not set."""
        if name.isdecimal():
            number = int(name)
            return self.name if number == 0 else self.arguments[number - 1] if number <= len(self.arguments) else None
        special = {"?": self.last, "$": self.pid, "!": self.background, "#": len(self.arguments), "-": "".join(sorted(self.options, key=LETTERS.index))}  # fmt: skip
        if name in special:
            return str(special[name])
        if name in {"@", "*"}:
            return self.glue(name).join(self.arguments) if self.arguments else None
        return self.variables.get(name)

    def glue(self, name):
        """What stands between the arguments when they become one text."""
        return self.variables.get("IFS", " ")[:1] if name == "*" else " "

    def arithmetic(self, text):
        try:
            return Calculator(text, self.variable, self.put).value()
        except Wrong as wrong:
            raise ShellError(str(wrong)) from None

    def variable(self, name):
        """What a name is in an expression."""
        value = self.parameter(name)
        if value is None and "u" in self.options:
            raise ShellError(f"{name}: parameter not set")
        return value

    def segments(self, parts, *, split=False):
        """(text, quoted, whether it is split into fields) of parts, expanded; `split` says it of unquoted text."""
        for part in parts:
            kind, quoted = part[0], part[-1]
            if kind == "text":
                yield part[1], quoted, split and not quoted
            elif kind == "command":
                yield self.capture(part[1]), quoted, not quoted
            elif kind == "arithmetic":
                yield str(self.arithmetic(self.text(part[1]))), True, False
            elif kind == "parameter":
                yield from self.changed(*part[1:])
            else:
                raise ShellError("Bad substitution")

    def changed(self, name, operator, parts, quoted):
        """A parameter with what is to be done with it."""
        value = self.parameter(name)
        if operator and operator[-1] in "-+=?" and operator != "length":
            missing = value is None or (operator[0] == ":" and not value)
            if quoted:
                yield "", True, False
            if missing != (operator[-1] == "+"):
                if operator[-1] in "-+":
                    yield from self.segments(parts, split=not quoted)
                    return
                if operator[-1] == "?":
                    raise ShellError(f"{name}: {self.text(parts) or 'parameter not set'}")
                if missing:
                    value = self.text(parts)
                    self.put(name, value)
            elif missing:
                return
        elif value is None and "u" in self.options and name not in {"@", "*"}:
            raise ShellError(f"{name}: parameter not set")
        if operator == "length":
            value = str(len(self.arguments) if name in {"@", "*"} else len((value or "").encode(errors="surrogateescape")))
        elif operator and operator[0] in "%#":
            value = trimmed(value or "", operator, self.pattern(parts))
        elif name in {"@", "*"} and not (quoted and name == "*"):
            for number, one in enumerate(self.arguments):
                if number:
                    yield BREAK
                yield one, quoted, not quoted
            return
        yield value or "", quoted, not quoted

    def text(self, parts):
        """Parts as one string."""
        return "".join(" " if text is None else text for text, _, _ in self.segments(self.home(parts)))

    def pattern(self, parts):
        """(text, quoted) of a pattern."""
        return [(" " if text is None else text, quoted) for text, quoted, _ in self.segments(self.home(parts))]

    def home(self, parts):
        """A word whose leading tilde became somebody's home."""
        if not parts or parts[0][0] != "text" or parts[0][2] or not parts[0][1].startswith("~"):
            return parts
        name, slash, rest = parts[0][1][1:].partition("/")
        if len(parts) > 1 and not slash:
            return parts
        try:
            place = pwd.getpwnam(name).pw_dir if name else self.variables.get("HOME", "~")
        except KeyError:
            return parts
        return [("text", place, True), ("text", slash + rest, False), *parts[1:]]

    def words(self, parts):
        """A word as the words it expands to."""
        found = []
        for field in self.fields(self.segments(self.home(parts))):
            paths = [] if "f" in self.options else matching(field)
            found += paths or ["".join(text for text, _ in field)]
        return found

    def fields(self, segments):
        """Lists of (text, quoted): what IFS separates, and what `$@` has apart."""
        separators = self.variables.get("IFS", BLANKS)
        made, current, after = [], None, ""
        for text, quoted, split in segments:
            if text is None:
                if current is not None:
                    made.append(current)
                current, after = None, ""
                continue
            after = ""
            if not split or not separators:
                if text or quoted:
                    current = [*(current or []), (text, quoted)]
                continue
            for piece in re.findall(f"[^{re.escape(separators)}]+|[{re.escape(separators)}]", text):
                if piece not in separators:
                    current = [*(current or []), (piece, False)]
                elif current is not None:
                    made.append(current)
                    current, after = None, "blank" if piece in BLANKS else "other"
                elif piece not in BLANKS:
                    if after != "blank":
                        made.append([])
                    after = "other"
        return made if current is None else [*made, current]
