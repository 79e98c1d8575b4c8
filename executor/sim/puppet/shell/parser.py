"""Words and operators to a tree of tuples."""

from shell.tokens import Operator, Word
from shim import Unmodelled


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
