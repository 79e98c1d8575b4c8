"""A script's text to tokens. A word is read into its parts at once, since commands inside words are parsed in place.

A part is a tuple: ("text", string, quoted), ("parameter", name, operator, parts, quoted), ("command", tree, quoted),
("arithmetic", parts, quoted) or ("bad",), a substitution that no shell can do.
"""

import re

OPERATOR = re.compile(r"&&|\|\||;;|\d?(?:<<-?|<&|<>|<|>>|>&|>\||>)|[;&|()]")
NAME = re.compile(r"[A-Za-z_]\w*|\d+|[@*#?$!-]", re.ASCII)
SHORT = re.compile(r"[A-Za-z_]\w*|[\d@*#?$!-]", re.ASCII)
LENGTH = re.compile(r"#([A-Za-z_]\w*|\d+|[@*#?$!-])\}", re.ASCII)
LETTERS = re.compile(r"\w*", re.ASCII)
CHANGE = re.compile(r":?[-+=?]|%%?|##?")
ENDS = " \t\n;&|<>()"
"""What ends a word that is not quoted."""
ORDINARY = re.compile(r"[^\\$`'\"\n \t;&|<>()}]+")


class Token:
    """A word, an operator, or the end, and the line it stands on."""

    __slots__ = ("kind", "line", "value")

    def __init__(self, kind, value, line):
        self.kind, self.value, self.line = kind, value, line

    @property
    def plain(self):
        """A word's text where it is without quotes and expansions: only such a word can be a keyword."""
        if self.kind != "word" or len(self.value) != 1 or self.value[0][0] != "text" or self.value[0][2]:
            return None
        return self.value[0][1]


class Lexer:
    """Gives the tokens of a text one by one; `parse` reads the commands of a substitution."""

    def __init__(self, text, parse, line=1):
        self.text, self.parse, self.line, self.at = text, parse, line, 0
        self.documents = []
        """Here-documents whose text begins with the next line: (delimiter, without tabs, literal, where it goes)."""

    def token(self):
        while True:
            if self.text.startswith("\\\n", self.at):
                self.at, self.line = self.at + 2, self.line + 1
            elif self.text[self.at : self.at + 1] in {" ", "\t"}:
                self.at += 1
            else:
                break
        line = self.line
        if self.text.startswith("#", self.at):
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end
        if self.at >= len(self.text):
            self.fill()
            return Token("end", "", line)
        if self.text[self.at] == "\n":
            self.at, self.line = self.at + 1, self.line + 1
            self.fill()
            return Token("operator", "\n", line)
        if found := OPERATOR.match(self.text, self.at):
            self.at = found.end()
            return Token("operator", found[0], line)
        return Token("word", self.parts(ENDS, quoted=False, needed=False), line)

    def parts(self, ends, *, quoted, needed=True, document=False):
        """Parts up to one of the characters `ends`, which stays; `document` is text in which `"` says nothing."""
        found = []
        escaped = "$`\\" + ("" if document else '"') + ("}" if ends == "}" else "")
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in ends:
                return found
            if char == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                self.at += 1 + len(following)
                if following == "\n":
                    self.line += 1
                else:
                    bare = following and (following in escaped or not quoted)
                    joined(found, following if bare else "\\" + following, True)
            elif char in "$`":
                part = self.dollar(quoted)
                joined(found, *part[1:]) if part[0] == "text" else found.append(part)
            elif char == "'" and not quoted:
                joined(found, self.until_quote(), True)
            elif char == '"' and not document:
                self.at += 1
                inner = self.parts('"', quoted=True)
                self.at += 1
                found += inner or [("text", "", True)]
            else:
                ordinary = ORDINARY.match(self.text, self.at)
                piece = ordinary[0] if ordinary else char
                self.line += piece == "\n"
                self.at += len(piece)
                joined(found, piece, quoted)
        if needed:
            raise SyntaxError("Missing '}'" if ends == "}" else "Unterminated quoted string")
        return found

    def until_quote(self):
        end = self.text.find("'", self.at + 1)
        if end < 0:
            self.line += self.text.count("\n", self.at)
            raise SyntaxError("Unterminated quoted string")
        inside = self.text[self.at + 1 : end]
        self.line += inside.count("\n")
        self.at = end + 1
        return inside

    def dollar(self, quoted):
        """The part that begins with `$` or a backquote."""
        if self.text[self.at] == "`":
            return ("command", self.backquoted(quoted), quoted)
        if self.text.startswith("$((", self.at):
            self.at += 3
            return ("arithmetic", self.arithmetic(), quoted)
        if self.text.startswith("$(", self.at):
            self.at += 2
            return ("command", self.parse(self, ")"), quoted)
        if self.text.startswith("${", self.at):
            self.at += 2
            return self.braces(quoted)
        self.at += 1
        if found := SHORT.match(self.text, self.at):
            self.at, name = found.end(), found[0]
            while name.isidentifier() and self.text.startswith("\\\n", self.at):
                more = LETTERS.match(self.text, self.at + 2)
                self.at, self.line, name = more.end(), self.line + 1, name + more[0]
            return ("parameter", name, None, None, quoted)
        return ("text", "$", quoted)

    def braces(self, quoted):
        if found := LENGTH.match(self.text, self.at):
            self.at = found.end()
            return ("parameter", found[1], "length", None, quoted)
        name = NAME.match(self.text, self.at)
        self.at = name.end() if name else self.at
        change = CHANGE.match(self.text, self.at)
        self.at = change.end() if change else self.at
        pattern = bool(change) and change[0][0] in "%#"
        parts = self.parts("}", quoted=quoted and not pattern)
        self.at += 1
        if not name or (parts and not change):
            return ("bad",)
        return ("parameter", name[0], change[0] if change else None, parts, quoted)

    def arithmetic(self):
        found, depth = [], 0
        while True:
            for part in self.parts("()", quoted=True, needed=False, document=True):
                joined(found, *part[1:]) if part[0] == "text" else found.append(part)
            char = self.text[self.at : self.at + 1]
            if not char or (char == ")" and not depth and not self.text.startswith("))", self.at)):
                raise SyntaxError("Missing '))'")
            if char == ")" and not depth:
                self.at += 2
                return found
            depth += 1 if char == "(" else -1
            joined(found, char, True)
            self.at += 1

    def backquoted(self, quoted):
        text = ""
        self.at += 1
        while not self.text.startswith("`", self.at):
            if self.at >= len(self.text):
                raise SyntaxError("EOF in backquote substitution")
            if self.text[self.at] == "\\" and self.text[self.at + 1 : self.at + 2] in (*"$`\\", *('"' if quoted else "")):
                self.at += 1
            text += self.text[self.at]
            self.line += self.text[self.at] == "\n"
            self.at += 1
        self.at += 1
        inside = Lexer(text, self.parse)
        try:
            return self.parse(inside, None)
        except SyntaxError as error:
            error.lineno = error.lineno or inside.line
            raise

    def fill(self):
        """Read the here-documents that were asked for on the line that has ended."""
        for delimiter, tabs, literal, into in self.documents:
            text = ""
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                row = self.text[self.at : end]
                row = row.lstrip("\t") if tabs else row
                self.at, self.line = min(end + 1, len(self.text)), self.line + 1
                if row == delimiter:
                    break
                text += row + "\n"
            inside = Lexer(text, self.parse, self.line)
            into += [("text", text, True)] if literal else inside.parts("", quoted=True, needed=False, document=True)
        self.documents = []


def joined(found, text, quoted):
    """Add text, to the part before where that is of the same kind."""
    if found and found[-1][0] == "text" and found[-1][2] is quoted:
        text = found.pop()[1] + text
    found.append(("text", text, quoted))
