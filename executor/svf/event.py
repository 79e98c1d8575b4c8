"""One event: a frozen value, and one line of canonical JSON whose hash covers the record and its predecessor's hash.

The line's keys are sorted, so `hash` stands in the middle; the hashed bytes are the line without `,"hash":"..."` and
the line feed. Writing and checking both work on these bytes directly: no record is parsed to be verified.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from executor import canonical
from executor.errors import InvalidInputError

MAX_LINE: Final = 128 * 1024
"""Bytes of one record; what a guest says is cut long before it comes near (`guest_text`)."""
MAX_ID: Final = 200
"""Characters of an id or a name."""
_HASH_KEY: Final = b',"hash":"'
_PREV_KEY: Final = b',"prev":"'
_SEQ_KEY: Final = b'","seq":'
_NAMES: Final = ("actor", "intent_id", "lease_id", "task_id", "vm_id", "engine", "policy_digest", "ts", "type")

# `json` offers both encoders of strings; this is the one that keeps what is not ASCII, as RFC 8785 wants it.
_quote: Final = json.encoder.encode_basestring


class Event(NamedTuple):
    """One record of the trail; fields as in DESIGN 5.4. A tuple: a frozen dataclass takes ten times as long to make."""

    seq: int
    ts: str
    type: str
    actor: str
    intent_id: str
    lease_id: str
    task_id: str
    vm_id: str
    engine: str
    policy_digest: str
    data: Mapping[str, Any]
    prev: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return self._asdict()


_FIELDS: Final = frozenset(Event._fields)


def genesis(log_id: str) -> str:
    """The `prev` of a log's first record: no record of another log fits there."""
    return hashlib.sha256(f"cordon.svf/1:{log_id}".encode()).hexdigest()


class Draft(NamedTuple):
    """A record's bytes but for its place in the chain; made before the lock is taken."""

    before: str
    """Up to where `hash` goes."""
    middle: str
    """From there up to the value of `prev`."""
    task: str
    rest: str
    """From `type` on."""

    def place(self, seq: int, ts: str, prev: str) -> tuple[str, str]:
        """The record's hash, and its line without the line feed."""
        after = f'{self.middle}{prev}","seq":{seq},{self.task},"ts":"{ts}",{self.rest}'
        digest = hashlib.sha256((self.before + after).encode()).hexdigest()
        return digest, f'{self.before},"hash":"{digest}"{after}'


def draft(  # noqa: PLR0913 - a record has this many fields
    kind: str,
    actor: str,
    *,
    intent_id: str,
    lease_id: str,
    task_id: str,
    vm_id: str,
    engine: str,
    policy_digest: str,
    data: Mapping[str, Any],
) -> Draft:
    """The record but for seq, ts, prev and hash; raises `InvalidInputError` for what cannot be recorded."""
    encoded = canonical.dumps(data if isinstance(data, dict) else dict(data)).decode()
    if len(encoded) > MAX_LINE // 2:
        raise InvalidInputError(f"{kind}: data of {len(encoded)} characters is over {MAX_LINE // 2}")
    try:
        return Draft(
            f'{{"actor":{_name(actor)},"data":{encoded},"engine":{_name(engine)}',
            f',"intent_id":{_name(intent_id)},"lease_id":{_name(lease_id)},'
            f'"policy_digest":{_name(policy_digest)},"prev":"',
            f'"task_id":{_name(task_id)}',
            f'"type":"{kind}","vm_id":{_name(vm_id)}}}',
        )
    except (InvalidInputError, TypeError) as error:  # TypeError: a value that has no hash is no text either
        raise InvalidInputError(f"{kind}: an id is text of at most {MAX_ID} characters, {error}") from None


@functools.lru_cache(maxsize=4096)
def _name(value: str) -> str:
    """An id in quotes; kept, because the events of one run hold the same few ids."""
    if not isinstance(value, str) or len(value) > MAX_ID:
        raise InvalidInputError(f"not {value!r:.80}")
    canonical.dumps(value)
    return _quote(value)


class Link(NamedTuple):
    """What the chain needs of one line: its place, its hash, and whom it follows."""

    seq: int
    hash: bytes
    prev: bytes


def read_link(line: bytes) -> Link | None:
    """The link of a stored line (line feed included), or None when its own hash does not fit: it is no intact record.

    Quotes inside JSON strings are escaped, so the searched bytes only occur as keys; `data` comes before `hash`, and
    only plain values come after.
    """
    at = line.rfind(_HASH_KEY)
    end = at + len(_HASH_KEY) + 64
    if at < 0 or line[-2:] != b"}\n":
        return None
    digest = line[at + len(_HASH_KEY) : end]
    if hashlib.sha256(line[:at] + line[end + 1 : -1]).hexdigest().encode() != digest or line[end : end + 1] != b'"':
        return None
    prev_at = line.rfind(_PREV_KEY, end)
    prev_end = prev_at + len(_PREV_KEY) + 64
    seq_at = prev_end + len(_SEQ_KEY)
    seq_end = line.find(b",", seq_at)
    seq = line[seq_at:seq_end]
    if prev_at < 0 or line[prev_end:seq_at] != _SEQ_KEY or not seq.isdigit() or len(seq) > len(str(canonical.MAX_INT)):
        return None
    return Link(int(seq), digest, line[prev_at + len(_PREV_KEY) : prev_end])


def parse_line(line: bytes) -> Event:
    """The event of a stored line; raises `InvalidInputError` when it is no record. Its place is not checked."""
    raw = canonical.loads(line, where="record")
    if not isinstance(raw, dict) or raw.keys() != _FIELDS:
        raise InvalidInputError("record: not the fields of an event")
    if not all(isinstance(raw[name], str) for name in (*_NAMES, "prev", "hash")):
        raise InvalidInputError("record: a field has the wrong type")
    if not isinstance(raw["seq"], int) or isinstance(raw["seq"], bool) or not isinstance(raw["data"], dict):
        raise InvalidInputError("record: a field has the wrong type")
    return Event(**raw)
