"""Integer expressions, in 64 bits as C has them."""

import re

TOKEN = re.compile(
    r"\s*(?:(0[xX][0-9a-fA-F]+|\d+)|([A-Za-z_]\w*)|(<<=|>>=|[-+*/%&|^]=|&&|\|\||<<|>>|[<>=!]=|[-+*/%&|^~!<>=?:()]))", re.ASCII
)
LEVELS = ("||", "&&", "|", "^", "&", "== !=", "< <= > >=", "<< >>", "+ -", "* / %")
PRECEDENCE = {operator: level for level, row in enumerate(LEVELS) for operator in row.split()}
ASSIGNING = {"=", "*=", "/=", "%=", "+=", "-=", "<<=", ">>=", "&=", "^=", "|="}


class Wrong(ValueError):
    """An expression that cannot be calculated."""


def wrapped(value):
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def number(text):
    """A constant: decimal, octal or hexadecimal."""
    if text[:2].lower() == "0x":
        return wrapped(int(text, 16))
    if text.startswith("0") and (found := re.match("0[0-7]*", text)) and found[0] == text:
        return int(text, 8)
    return int(text)


class Calculator:
    """One expression; `get` and `put` reach the variables."""

    def __init__(self, text, get, put):
        self.text, self.get, self.put = text, get, put
        self.tokens, at = [], 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            if not found:
                raise self.wrong("expecting EOF" if self.tokens else "expecting primary")
            self.tokens.append(found)
            at = found.end()
        self.at = 0

    def wrong(self, what):
        return Wrong(f'arithmetic expression: {what}: "{self.text}"')

    def peek(self):
        return self.tokens[self.at][3] if self.at < len(self.tokens) else None

    def value(self):
        if not self.tokens:
            return 0
        found = self.assignment(True)
        if self.at < len(self.tokens):
            raise self.wrong("expecting EOF")
        return found

    def assignment(self, wanted):
        """An assignment or a condition; without effect where it is not `wanted`."""
        name = self.tokens[self.at][2] if self.at < len(self.tokens) else None
        operator = self.tokens[self.at + 1][3] if name and self.at + 1 < len(self.tokens) else None
        if operator not in ASSIGNING:
            return self.choice(wanted)
        self.at += 2
        value = self.assignment(wanted)
        if operator != "=":
            value = self.combined(operator[:-1], self.variable(name), value, wanted)
        if wanted:
            self.put(name, str(value))
        return value

    def choice(self, wanted):
        condition = self.binary(0, wanted)
        if self.peek() != "?":
            return condition
        self.at += 1
        yes = self.assignment(wanted and bool(condition))
        if self.peek() != ":":
            raise self.wrong("expecting ':'")
        self.at += 1
        no = self.choice(wanted and not condition)
        return yes if condition else no

    def binary(self, level, wanted):
        left = self.unary(wanted)
        while (operator := self.peek()) in PRECEDENCE and PRECEDENCE[operator] >= level:
            self.at += 1
            needed = wanted and not ((operator == "&&" and not left) or (operator == "||" and left))
            right = self.binary(PRECEDENCE[operator] + 1, needed)
            left = self.combined(operator, left, right, needed)
        return left

    def combined(self, operator, left, right, wanted):
        if operator in {"/", "%"}:
            if right == 0:
                if wanted:
                    raise self.wrong("division by zero")
                return 0
            quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
            return wrapped(quotient if operator == "/" else left - quotient * right)
        return wrapped(int({
            "+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right,
            "<<": lambda: left << (right & 63), ">>": lambda: left >> (right & 63),
            "<": lambda: left < right, "<=": lambda: left <= right, ">": lambda: left > right, ">=": lambda: left >= right,
            "==": lambda: left == right, "!=": lambda: left != right, "&": lambda: left & right, "^": lambda: left ^ right,
            "|": lambda: left | right, "&&": lambda: bool(left and right), "||": lambda: bool(left or right),
        }[operator]()))  # fmt: skip

    def unary(self, wanted):
        operator = self.peek()
        if operator in {"-", "+", "!", "~"}:
            self.at += 1
            value = self.unary(wanted)
            return wrapped({"-": -value, "+": value, "!": int(not value), "~": ~value}[operator])
        if operator == "(":
            self.at += 1
            value = self.assignment(wanted)
            if self.peek() != ")":
                raise self.wrong("expecting ')'")
            self.at += 1
            return value
        if operator is not None or self.at >= len(self.tokens):
            raise self.wrong("expecting primary")
        constant, name = self.tokens[self.at][1], self.tokens[self.at][2]
        self.at += 1
        return number(constant) if constant else self.variable(name)

    def variable(self, name):
        text = (self.get(name) or "").strip() or "0"
        sign = -1 if text.startswith("-") else 1
        if not re.fullmatch(r"[-+]?(0[xX][0-9a-fA-F]+|\d+)", text, re.ASCII):
            raise Wrong(f"Illegal number: {text}")
        return sign * number(text.lstrip("+-"))
