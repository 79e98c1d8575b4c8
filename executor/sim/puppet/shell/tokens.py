"""A script's text to words and operators; quoting stays in the words."""

from shim import Unmodelled

OPERATORS = ("&&", "||", ";;", ">>", "<&", ">&", "<<", ";", "&", "|", "<", ">", "(", ")", "\n")


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
