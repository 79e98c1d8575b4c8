"""Files whose content is made when somebody looks."""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from executor.sim.files.nodes import Dentry, Node

if TYPE_CHECKING:
    from executor.sim.kernel.process import Process


def virtual(parent: Dentry, name: str, read: Callable[[Process], bytes], mode: int = 0o444) -> Node:
    """A file whose content is made when it is read."""
    node = Node(parent.node.system, stat.S_IFREG | mode)
    node.read = read
    node.write = _unheard
    parent.add(name, node)
    return node


def _unheard(_process: Process, _data: bytes) -> None:
    """What is written changes nothing."""
