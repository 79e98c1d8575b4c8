"""Patterns: `*`, `?` and brackets, for text and for file names. A shell compares bytes, one character each."""

import os
import re
import string

CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r" \t\n\r\f\v",
    "blank": r" \t", "punct": re.escape(string.punctuation), "xdigit": "0-9A-Fa-f", "cntrl": r"\x00-\x1f\x7f",
    "print": r"\x20-\x7e", "graph": r"\x21-\x7e",
}  # fmt: skip


def flat(text):
    """Text with one character for each byte."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def whole(text):
    """Text of which `flat` made this."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def letters(pieces):
    """(character, quoted) of (text, quoted)."""
    return [(char, quoted) for text, quoted in pieces for char in flat(text)]


def compiled(pattern):
    """A regular expression for a list of (character, quoted)."""
    made, at = "", 0
    while at < len(pattern):
        char, quoted = pattern[at]
        at += 1
        if quoted:
            made += re.escape(char)
        elif char == "*":
            made += ".*"
        elif char == "?":
            made += "."
        elif char == "[" and (found := bracket(pattern, at)):
            piece, at = found
            made += piece
        elif char == "\\" and at < len(pattern):
            made += re.escape(pattern[at][0])
            at += 1
        else:
            made += re.escape(char)
    return re.compile(made, re.DOTALL)


def bracket(pattern, at):
    """The set whose content begins at `at`, and where it ends; None where it is not closed."""
    inverted = at < len(pattern) and pattern[at] == ("!", False)
    at += inverted
    members, first = "", True
    while at < len(pattern) and (first or pattern[at] != ("]", False)):
        first = False
        text = "".join(char for char, _ in pattern[at:])
        if pattern[at] == ("[", False) and (found := re.match(r"\[:(\w+):\]", text)) and found[1] in CLASSES:
            members += CLASSES[found[1]]
            at += found.end()
            continue
        if pattern[at] == ("\\", False) and at + 1 < len(pattern):
            at += 1
        char = pattern[at][0]
        at += 1
        if at + 1 < len(pattern) and pattern[at] == ("-", False) and pattern[at + 1] != ("]", False):
            if char <= pattern[at + 1][0]:
                members += f"{re.escape(char)}-{re.escape(pattern[at + 1][0])}"
            at += 2
        else:
            members += re.escape(char)
    if at >= len(pattern):
        return None
    return (f"[{'^' if inverted else ''}{members}]" if members else ("." if inverted else "(?!)")), at + 1


def fits(text, pieces):
    """Whether all of a text fits a pattern of (text, quoted)."""
    return bool(compiled(letters(pieces)).fullmatch(flat(text)))


def trimmed(value, operator, pieces):
    """`value` without the shortest or longest beginning (# ##) or end (% %%) that fits."""
    made, text = compiled(letters(pieces)), flat(value)
    places = range(len(text) + 1)
    for place in places if operator in {"#", "%%"} else reversed(places):
        if operator[0] == "#" and made.fullmatch(text, 0, place):
            return whole(text[place:])
        if operator[0] == "%" and made.fullmatch(text, place):
            return whole(text[:place])
    return value


def magic(pattern):
    """Whether more than one text may fit. A bracket that is not closed is a letter, as in `[ -f name ]`."""
    return any(
        not quoted and (char in "*?" or (char == "[" and bracket(pattern, at) is not None))
        for at, (char, quoted) in enumerate(pattern, 1)
    )


def matching(pieces):
    """Paths that fit a pattern, sorted; none when nothing does, or nothing in it is more than a letter."""
    pattern = letters(pieces)
    if not magic(pattern):
        return []
    parts = [[]]
    for char, quoted in pattern:
        if char == "/":
            parts.append([])
        else:
            parts[-1].append((char, quoted))
    found = [""]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        deeper = []
        for base in found:
            deeper += [base + name + ("" if last else "/") for name in names(base, part, last=last)]
        found = deeper
    return sorted(found)


def names(base, part, *, last):
    """What of a folder fits one part of a path."""
    if not magic(part):
        name = whole("".join(char for char, _ in part))
        return [name] if not name or os.path.lexists(base + name) else []
    try:
        there = os.listdir(base or ".")
    except OSError:
        return []
    made, hidden = compiled(part), part[0][0] == "."
    if hidden:
        there += [".", ".."]
    return [
        name for name in there
        if name.startswith(".") == hidden and made.fullmatch(flat(name)) and (last or os.path.isdir(base + name))
    ]  # fmt: skip
