"""Answers kept for inputs that will be answered alike. Bounded: the oldest go first.

Logs repeat themselves: the same request under another id, at another time, with another balance. An input is cut down
to what does not vary, and asked whole until what is left of it comes a second time; from then on only the rules that
look at what varies are asked (`harness.replay.reads`), and where they said the same before, the answer is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from harness.replay.reads import without_varying

KEPT: Final = 20_000
"""Answers, as JSON text of one to four KiB each: at most 80 MB."""
SEEN: Final = 200_000
"""Digests of inputs that came once, 100 bytes each."""


class Memo:
    """What was asked before. One thread at a time."""

    def __init__(self) -> None:
        self._seen: Final[OrderedDict[bytes, None]] = OrderedDict()
        self._answers: Final[OrderedDict[tuple[bytes, str, bool], str]] = OrderedDict()
        self.hits = 0

    def key(self, document: Mapping[str, Any]) -> bytes:
        """A digest of `document` less what varies."""
        text = json.dumps(without_varying(document), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode("ascii"), digest_size=16).digest()

    def again(self, key: bytes) -> bool:
        """Whether `key` came before; it has from now on."""
        if key in self._seen:
            self._seen.move_to_end(key)
            return True
        self._seen[key] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return False

    def recall(self, key: bytes, reads: str, *, brief: bool) -> dict[str, Any] | None:
        """The answer to an input with this key and these values of the rules that look at the rest of it."""
        text = self._answers.get((key, reads, brief))
        if text is None:
            return None
        self._answers.move_to_end((key, reads, brief))
        self.hits += 1
        answer: dict[str, Any] = json.loads(text)
        return answer

    def keep(self, key: bytes, reads: str, answer: Mapping[str, Any], *, brief: bool) -> None:
        """Remember an answer; what is no decision is not remembered, for it may have been an accident."""
        if answer.get("verdict") == "malformed":
            return
        self._answers[key, reads, brief] = json.dumps(answer, separators=(",", ":"))
        if len(self._answers) > KEPT:
            self._answers.popitem(last=False)
