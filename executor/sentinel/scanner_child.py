"""The process that searches for secrets: reads one document after the other from stdin, answers on stdout.

Run by path (`python -I scanner_child.py RULES CACHE`), so it imports nothing of Cordon. It is a process of its own
because the engine is native code fed with hostile bytes: a crash or a hang here costs one review, not the executor,
and a deadline can be kept. Before it reads anything it gives up the network (where it may), core dumps and memory.

Frames, both ways: four bytes, big-endian length, then that many bytes. A request is a document; an answer is JSON:
`{"ready": <number of rules>}` once, `{"hits": [[rule, title, line, length], ...]}`, or `{"error": <class name>}`.
The text found never leaves this process.
"""

from __future__ import annotations

import ctypes
import json
import resource
import struct
import sys
from typing import Any, BinaryIO, Final

_MEMORY_BYTES: Final = 3 << 30
"""Address space: the compiled rules take some 100 MiB, a scan of the largest document some ten times its size."""
_CLONE_NEWNET: Final = 0x40000000
"""linux/sched.h"""
_SCAN_S: Final = 20.0
"""Seconds per document, kept by the engine itself; the parent's deadline is the one that is certain."""


def confine() -> None:
    """Leave the network (needs root; the engine does not use it when scanning), no core dumps, bounded memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    ctypes.CDLL(None).unshare(_CLONE_NEWNET)


def load(rules_file: str, cache: str) -> tuple[Any, int]:
    """The scanner and its number of rules. Comments and markup in the document cannot switch a rule off."""
    from kingfisher_sdk import DetectionPolicy, Rules, Scanner  # noqa: PLC0415 - native code: only after confine()

    rules = Rules([rules_file], cache_dir=cache) if cache else Rules([rules_file], cache=False)
    return Scanner(rules, policy=DetectionPolicy(inline_ignores=False, markup_context=False)), len(rules)


def hits(scanner: Any, document: bytes) -> list[list[Any]]:
    """Rule, title, line and length of each secret. Invisible findings are the halves of pairs, not secrets alone."""
    found = [item for item in scanner.scan(document, timeout=_SCAN_S) if item.visible]
    return [[item.rule_id, item.rule_name, item.location["line"], len(item.secret)] for item in found]


def answer(out: BinaryIO, value: dict[str, Any]) -> None:
    """Write one frame."""
    body = json.dumps(value).encode()
    out.write(struct.pack(">I", len(body)) + body)
    out.flush()


def main(rules_file: str, cache: str) -> int:
    """Serve until stdin ends. An exception's text may quote the document, so only its class is told."""
    source, out = sys.stdin.buffer, sys.stdout.buffer
    confine()
    try:
        scanner, count = load(rules_file, cache)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must learn that there is no scanner
        answer(out, {"error": f"{type(error).__name__}: {error}"})
        return 1
    answer(out, {"ready": count})
    while len(head := source.read(4)) == 4:
        (length,) = struct.unpack(">I", head)
        document = source.read(length)
        try:
            answer(out, {"hits": hits(scanner, document)})
        except Exception as error:  # noqa: BLE001 - as above
            answer(out, {"error": type(error).__name__})
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
