"""What words expand to: parameters, commands, arithmetic, fields, file names."""

import fnmatch
import os
import re

from shell.arithmetic import calculate
from shell.tokens import closing
from shim import Unmodelled


class Expander:
    """A shell's variables, and words in their light. Who runs commands adds `capture`."""

    def __init__(self, name, arguments):
        self.name, self.arguments = name, arguments
        self.variables, self.exported = dict(os.environ), set(os.environ)
        self.last, self.background = 0, 0

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
        tree = calculate(filled)
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
