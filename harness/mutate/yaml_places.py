"""Where the values of a YAML (or JSON) file stand in its text, and which edit removes or appends an entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from harness.mutate.text import Edit, Source

Path = tuple[str | int, ...]

PLACEHOLDER: Final = "\0"
"""Stands in an `append` edit for the text of the new entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value: its path, its text from `start` to `end`, and the edits that remove it or append to it."""

    path: Path
    start: int
    end: int
    is_scalar: bool
    removal: Edit | None = None
    append: Edit | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """One entry of a collection: what is written for it begins (its key, its dash) and ends (its value)."""

    start: int
    end: int
    node: yaml.Node
    path: Path


def read(text: str) -> Any:
    """The data of `text`."""
    return yaml.load(text, Loader=yaml.CSafeLoader)  # ten times as fast as its Python twin


def entries(text: str) -> Iterator[Entry]:
    """Every value in file order, the outermost first; what an alias repeats is told of once, where it is written."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)  # the C parser's marks lack the index
    if root is not None:
        source = Source("", text)
        yield from _walk(source, root, (), None)


def _walk(source: Source, node: yaml.Node, path: Path, removal: Edit | None) -> Iterator[Entry]:
    start, end = node.start_mark.index, _end(node)
    if not isinstance(node, yaml.CollectionNode):
        yield Entry(path, start, end, is_scalar=True, removal=removal)
        return
    parts = list(_parts(source, node, path))
    append = _append(source, node, parts) if isinstance(node, yaml.SequenceNode) else None
    yield Entry(path, start, end, is_scalar=False, removal=removal, append=append)
    for number, part in enumerate(parts):
        if part.node.start_mark.index < part.start:
            continue  # an alias: its node stands elsewhere
        yield from _walk(source, part.node, part.path, _removal(source, node, parts, number))


def _parts(source: Source, node: yaml.CollectionNode, path: Path) -> Iterator[_Part]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            end = max(_end(value), key.end_mark.index + 1)  # a field without a value ends with its colon
            name = key.value if key.tag.endswith(":str") else yaml.safe_load(key.value)  # a port number, a boolean
            yield _Part(key.start_mark.index, end, value, (*path, name))
    else:
        for number, item in enumerate(node.value):
            start = item.start_mark.index
            begin = start if node.flow_style else source.text.rfind("-", 0, start)
            yield _Part(begin, max(_end(item), begin + 1), item, (*path, number))


def _end(node: yaml.Node) -> int:
    """Where the last thing written for `node` ends; a block's own mark lies behind the blank lines after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        pair = last if isinstance(last, tuple) else (last,)
        return max(_end(part) for part in pair)
    mark = node.end_mark
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return max(node.start_mark.index, mark.index - 1)
    return int(mark.index)


def _removal(source: Source, node: yaml.CollectionNode, parts: list[_Part], number: int) -> Edit | None:
    part = parts[number]
    if len(parts) == 1:
        empty = "{}" if isinstance(node, yaml.MappingNode) else "[]"
        if isinstance(node, yaml.SequenceNode) and not node.flow_style and len(part.path) > 1:
            empty = f" {empty}"  # a block list may begin in its key's column, what replaces it may not
        return Edit(node.start_mark.index, _end(node), empty)
    if node.flow_style:
        if number + 1 < len(parts):
            return Edit(part.start, parts[number + 1].start, "")
        return Edit(parts[number - 1].end, part.end, "")
    if (lines := source.without_lines(part.start, part.end)) is not None:
        return lines
    # The first field of an item, beside the item's dash: `- name: x`.
    return Edit(part.start, parts[number + 1].start, "") if number + 1 < len(parts) else None


def _append(source: Source, node: yaml.CollectionNode, parts: list[_Part]) -> Edit | None:
    if node.flow_style:
        at = _end(node) - 1
        if not parts:
            return Edit(at, at, PLACEHOLDER)
        return Edit(parts[-1].end, parts[-1].end, f", {PLACEHOLDER}")
    last = parts[-1]
    begin = source.line_start(last.start)
    indent = source.text[begin : last.start]
    if indent.strip():
        return None  # a list that begins beside another list's dash
    end = source.line_end(last.end)
    return Edit(end, end, f"\n{indent}- {PLACEHOLDER}")
