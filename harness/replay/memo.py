"""Answers kept for inputs that will be answered alike. Bounded: the oldest go first.

Logs repeat themselves: the same request under another id, at another time, with another balance. An input is cut down
to what does not vary, and asked whole the first time what is left of it comes; then only the rules that look at what
varies are asked (`harness.replay.reads`), and where they said the same before, the answer is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, Final

from harness.replay.reads import without_varying

KEPT: Final = 20_000
"""Answers, as JSON text of one to four KiB each: at most 80 MB."""
SEEN: Final = 200_000
"""Digests of inputs that came once, 100 bytes each."""


class Memo:
    """What was asked before of one policy directory. Thread-safe: several OPAs may hold it."""

    def __init__(self) -> None:
        self._lock: Final = Lock()
        self._rows = 0
        self._repeats = 0
        self._seen: Final[OrderedDict[bytes, None]] = OrderedDict()
        self._answers: Final[OrderedDict[tuple[bytes, str, bool], str]] = OrderedDict()
        self.hits = 0

    def key(self, document: Mapping[str, Any]) -> bytes:
        """A digest of `document` less what varies."""
        text = json.dumps(without_varying(document), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode("ascii"), digest_size=16).digest()

    def again(self, keys: Sequence[bytes]) -> list[bool]:
        """Whether each of `keys` came before, or is worth being told apart already: where most of a log repeats itself.

        They have come from now on.
        """
        with self._lock:
            found = [self._came(key) for key in keys]
            self._rows += len(found)
            self._repeats += sum(found)
            return [True] * len(found) if self._repeats * 2 > self._rows else found

    def recall(self, key: bytes, reads: str, *, brief: bool) -> dict[str, Any] | None:
        """The answer to an input with this key and these values of the rules that look at the rest of it."""
        with self._lock:
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
        text = json.dumps(answer, separators=(",", ":"))
        with self._lock:
            self._answers[key, reads, brief] = text
            if len(self._answers) > KEPT:
                self._answers.popitem(last=False)

    def _came(self, key: bytes) -> bool:
        if key in self._seen:
            self._seen.move_to_end(key)
            return True
        self._seen[key] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return False
