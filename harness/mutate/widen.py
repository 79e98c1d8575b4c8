"""How a pattern is loosened: the glob or expression that lets more through than was meant."""

from __future__ import annotations

import re


def widened_glob(pattern: str) -> str | None:
    """`pattern` matching more: a star that crosses separators, or one literal part fewer; None when nothing is left.

    `/tmp/*` -> `/tmp/**`, `/workspace/**` -> `/**`, `/etc/shadow` -> `/etc/**`, `*.example.org` -> `**.example.org`.
    """
    if any(char.isspace() for char in pattern):
        return None  # prose with a star or a slash in it
    if single := re.search(r"(?<!\*)\*(?!\*)", pattern):
        return f"{pattern[: single.start()]}**{pattern[single.end() :]}"
    if not pattern.startswith("/") or pattern in ("/", "/**"):
        return None
    parts = pattern.rstrip("/").split("/")
    literal = [number for number, part in enumerate(parts) if part and "*" not in part]
    if not literal:
        return None
    return "/".join([*parts[: literal[-1]], "**"])


def unanchored(expression: str) -> list[str]:
    """A regular expression without its `^`, and without its `$`; empty when it has neither."""
    result = []
    if expression.startswith("^"):
        result.append(expression[1:])
    if expression.endswith("$") and not expression.endswith("\\$") and len(expression) > 1:
        result.append(expression[:-1])
    return result
