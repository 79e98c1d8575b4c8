"""Tokens to a tree of tuples, a line at a time as a shell reads them."""

import re

from shell.words import Lexer

RESERVED = {"!", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then", "until", "while", "{", "}"}
ENDING = {"do", "done", "elif", "else", "esac", "fi", "then", "}"}
"""Keywords before which a list of commands ends."""
REDIRECTION = re.compile(r"(\d?)(<<-?|<&|<>|<|>>|>&|>\||>)")
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=", re.ASCII)
IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def substitution(lexer, end):
    """The commands of a substitution, up to `end`; dash does not look at what is left between backquotes."""
    parser = Parser(lexer)
    tree = parser.sequence(empty=True)
    if end and not parser.operator(end):
        raise parser.unexpected(end)
    return tree


class Parser:
    """A script's commands."""

    def __init__(self, lexer):
        self.lexer, self.ahead = lexer, None

    @classmethod
    def of(cls, text):
        return cls(Lexer(text, substitution))

    def peek(self):
        if self.ahead is None:
            self.ahead = self.lexer.token()
        return self.ahead

    def next(self):
        token, self.ahead = self.peek(), None
        return token

    def operator(self, *wanted):
        return self.peek().kind == "operator" and self.ahead.value in wanted

    def keyword(self, *wanted):
        return self.peek().plain in wanted if wanted else False

    def newlines(self):
        while self.operator("\n"):
            self.next()

    def unexpected(self, expecting=None, *, keywords=True):
        """A mistake in the words of dash."""
        token, shown = self.peek(), expecting if expecting == "word" else f'"{expecting}"'
        if token.kind == "end":
            name = "end of file"
        elif token.kind == "word":
            name = f'"{token.plain}"' if keywords and token.plain in RESERVED else "word"
        else:
            name = "newline" if token.value == "\n" else (
                "redirection" if REDIRECTION.fullmatch(token.value) else f'"{token.value}"')  # fmt: skip
        return SyntaxError(f"{name} unexpected" + (f" (expecting {shown})" if expecting else ""))

    def want(self, word):
        if not self.keyword(word) and not self.operator(word):
            raise self.unexpected(word)
        self.next()

    def line(self):
        """The next line's commands and whether the text ends with them; None at the end."""
        self.newlines()
        if self.peek().kind == "end":
            return None
        made = []
        while True:
            made.append(self.item())
            if self.operator("\n") or self.peek().kind == "end":
                break
            if not made[-1][1]:
                raise self.unexpected()
        return ("list", [one for one, _ in made]), self.peek().kind == "end"

    def item(self):
        """A command of a list, and whether it was separated from what follows."""
        one = self.both()
        if self.operator("&"):
            one = ("background", one)
        separated = self.operator(";", "&")
        if separated:
            self.next()
        return one, separated

    def sequence(self, *, empty=False):
        made = []
        self.newlines()
        while self.peek().kind != "end" and not self.keyword(*ENDING) and not self.operator(")", ";;"):
            one, separated = self.item()
            made.append(one)
            if self.operator("\n"):
                self.newlines()
            elif not separated:
                break
        if not made and not empty:
            raise self.unexpected()
        return ("list", made)

    def both(self):
        left = self.pipeline()
        while self.operator("&&", "||"):
            kind = self.next().value
            self.newlines()
            left = ("and" if kind == "&&" else "or", left, self.pipeline())
        return left

    def pipeline(self):
        negate = self.keyword("!")
        if negate:
            self.next()
        parts = [self.command()]
        while self.operator("|"):
            self.next()
            self.newlines()
            parts.append(self.command())
        made = parts[0] if len(parts) == 1 else ("pipe", parts)
        return ("not", made) if negate else made

    def command(self):
        line = self.peek().line
        if self.operator("("):
            self.next()
            body = self.sequence()
            self.want(")")
            return ("subshell", body, self.redirections(), line)
        compound = {"{": self.group, "if": self.branch, "while": self.loop, "until": self.loop, "for": self.each,
                    "case": self.case}.get(self.peek().plain)  # fmt: skip
        if not compound:
            return self.simple()
        body = compound()
        found = self.redirections()
        return ("redirect", body, found, line) if found else body

    def group(self):
        self.next()
        body = self.sequence()
        self.want("}")
        return body

    def branch(self):
        self.next()
        condition = self.sequence()
        self.want("then")
        body = self.sequence()
        if self.keyword("elif"):
            return ("if", condition, body, self.branch())
        other = None
        if self.keyword("else"):
            self.next()
            other = self.sequence()
        self.want("fi")
        return ("if", condition, body, other)

    def loop(self):
        kind = self.next().plain
        condition = self.sequence()
        return (kind, condition, self.body())

    def body(self):
        self.want("do")
        body = self.sequence()
        self.want("done")
        return body

    def each(self):
        self.next()
        name = self.next().plain
        if not name or not IDENTIFIER.fullmatch(name):
            raise SyntaxError("Bad for loop variable")
        words = None
        self.newlines()
        if self.keyword("in"):
            self.next()
            words = []
            while self.peek().kind == "word":
                words.append(self.next().value)
            if not self.operator(";", "\n"):
                raise self.unexpected()
        if self.operator(";"):
            self.next()
        self.newlines()
        return ("for", name, words, self.body())

    def case(self):
        self.next()
        if self.peek().kind != "word":
            raise self.unexpected("word")
        word, items = self.next().value, []
        self.newlines()
        self.want("in")
        self.newlines()
        while not self.keyword("esac"):
            if self.operator("("):
                self.next()
            patterns = []
            while True:
                if self.peek().kind != "word":
                    raise self.unexpected(")")
                patterns.append(self.next().value)
                if not self.operator("|"):
                    break
                self.next()
            if not self.operator(")"):
                raise self.unexpected(")", keywords=False)
            self.next()
            items.append((patterns, self.sequence(empty=True)))
            if self.operator(";;"):
                self.next()
                self.newlines()
            elif not self.keyword("esac"):
                raise self.unexpected(";;")
        self.next()
        return ("case", word, items)

    def redirection(self):
        """(descriptor, kind, word) of a redirection, or None."""
        found = REDIRECTION.fullmatch(self.peek().value) if self.peek().kind == "operator" else None
        if not found:
            return None
        self.next()
        if self.peek().kind != "word":
            raise self.unexpected()
        kind, word = found[2], self.next().value
        number = int(found[1]) if found[1] else int(kind[0] == ">")
        if kind.startswith("<<"):
            delimiter = "".join(part[1] for part in word)
            text = []
            self.lexer.documents.append((delimiter, kind == "<<-", any(part[2] for part in word), text))
            return (number, "<<", text)
        return (number, kind, word)

    def redirections(self):
        found = []
        while one := self.redirection():
            found.append(one)
        return found

    def simple(self):
        assignments, words, redirections = [], [], []
        token = self.peek()
        if token.plain in RESERVED:
            raise self.unexpected()
        while True:
            if one := self.redirection():
                redirections.append(one)
                continue
            if self.peek().kind != "word":
                break
            parts = self.next().value
            found = ASSIGNMENT.match(parts[0][1]) if parts and parts[0][0] == "text" and not parts[0][2] else None
            if found and not words:
                rest = parts[0][1][found.end() :]
                assignments.append((found[1], ([("text", rest, False)] if rest else []) + parts[1:]))
            else:
                words.append(parts)
            if self.operator("(") and len(words) == 1 and not assignments and not redirections:
                return self.function(token.plain)
        if not assignments and not words and not redirections:
            raise self.unexpected()
        return ("simple", assignments, words, redirections, token.line)

    def function(self, name):
        self.next()
        if not self.operator(")"):
            raise self.unexpected(")", keywords=False)
        self.next()
        if not name or not IDENTIFIER.fullmatch(name):
            raise SyntaxError("Bad function name")
        self.newlines()
        return ("function", name, self.command())
