"""Programs that only write: echo, printf, seq, yes, true, false."""

import re

from applets.registry import complain, escaped, options, program, put
from shim import Unmodelled


@program("true")
def true(_argv):
    return 0


@program("false")
def false(_argv):
    return 1


@program("echo")
def echo(argv):
    words, newline, escapes = argv[1:], True, False
    while words and re.fullmatch("-[neE]+", words[0]):
        flag = words.pop(0)
        newline &= "n" not in flag
        escapes = ("e" in flag) if set(flag) & {"e", "E"} else escapes
    text = " ".join(words)
    put((escaped(text) if escapes else text) + ("\n" if newline else ""))
    return 0


@program("printf")
def printf(argv):
    if len(argv) < 2:
        return complain("printf", "missing operand")
    return formatted(argv, lambda word: complain("printf", f"'{word}': expected a numeric value"))


def formatted(argv, wrong):
    """printf: the exit code, with `wrong` called for words that are no numbers."""
    form, words, code = escaped(argv[1]), list(argv[2:]), 0

    def numeric(word, kind):
        nonlocal code
        try:
            if word[:1] in {"'", '"'}:
                return ord(word[1:2] or "\0")
            if kind not in "diouxX":
                return float(word or 0)
            octal = re.fullmatch("([-+]?)0([0-7]+)", word)
            return int(octal[1] + octal[2], 8) if octal else int(word or "0", 0)
        except ValueError:
            wrong(word)
            code = 1
            return 0

    while True:
        before = len(words)

        def one(found):
            kind = found[1]
            if kind == "%":
                return "%"
            word = words.pop(0) if words else ("" if kind in "sbc" else "0")
            if kind == "b":
                return escaped(word)
            spec = found[0]
            return spec % (word if kind == "s" else word[:1] if kind == "c" else numeric(word, kind))

        put(re.sub(r"%[-+ 0#]*\d*(?:\.\d+)?([sdiouxXcbeEfFgG%])", one, form))
        if not words or len(words) == before:
            return code


@program("seq")
def seq(argv):
    _, rest = options([argv[0], *(one for one in argv[1:] if not re.fullmatch(r"-\d+", one))], "w", "s")
    numbers = [int(one) for one in argv[1:] if re.fullmatch(r"-?\d+", one)]
    if len(numbers) != len(argv) - 1:
        raise Unmodelled("seq with options or fractions")
    first, step, last = (1, 1, numbers[0]) if len(numbers) == 1 else (
        (numbers[0], 1, numbers[1]) if len(numbers) == 2 else tuple(numbers))  # fmt: skip
    lines = []
    for number in range(first, last + (1 if step > 0 else -1), step):
        lines.append(f"{number}\n")
        if len(lines) == 4096:
            put("".join(lines))
            lines = []
    put("".join(lines))
    return 0


@program("yes")
def yes(argv):
    text = (" ".join(argv[1:]) or "y") + "\n"
    block = text.encode() * max(1, 65536 // len(text))
    while True:
        put(block)
