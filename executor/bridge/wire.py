"""The messages of the bridge: one header of strict JSON, and for what is not text one frame of raw bytes. Pure.

Admission of a request, in this order (the first that fails answers 400, or 413 for size, and nothing else happens):

1. one or two frames,
2. the header is at most `MAX_HEADER` bytes, the payload at most `MAX_PAYLOAD`,
3. the header is strict JSON (no duplicate keys, no floats), an object, of version `VERSION`,
4. its `op` is known, and its fields are exactly those of that op,
5. an intent parses (`Intent.parse`), and the payload is exactly its files' and artefacts' contents, in that order.

Requests:  hello {id} - submit {id, intent, approvals, stream} + files - attach {id, tasks}
Replies:   welcome {id, requester, engine} - accepted {id, task, ahead} - event {task, event}
           output {task, command, stream} + bytes - answer {task, outcome} + bytes - result {task, outcome} + bytes
           error {id, task, status, code, message}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass, replace
from typing import Any, Final

from executor import canonical
from executor.errors import InvalidInputError, RequestRefusedError
from executor.intent import Artefact, Command, FileIn, Intent
from executor.intent_parse import MAX_ARTEFACTS, MAX_FILE_BYTES, MAX_FILES

VERSION: Final = "cordon.bridge/1"
MAX_HEADER: Final = 2 * 1024 * 1024
"""Bytes: a patch of 1 MiB, escaped, and the rest. Bounds what the one thread at the door spends on one message."""
MAX_PAYLOAD: Final = 16 * 1024 * 1024
"""Bytes of all files of one intent."""
MAX_ID: Final = 64
MAX_ATTACH: Final = 1000
MAX_APPROVALS: Final = 16
_CWD: Final = Command(()).cwd
_ALWAYS: Final = frozenset({"intent_id", "requester", "priority", "commands", "files", "artefacts"})
_DEFAULTS: Final[Mapping[str, Any]] = {
    field.name: field.default if field.default_factory is MISSING else field.default_factory()
    for field in fields(Intent)
    if field.name not in _ALWAYS
}


@dataclass(frozen=True, slots=True)
class Hello:
    """A client asks who it is here."""

    id: str


@dataclass(frozen=True, slots=True)
class Submit:
    """Run this."""

    id: str
    intent: Intent
    approvals: tuple[str, ...]
    stream: bool
    """Whether output and events are wanted while it runs."""


@dataclass(frozen=True, slots=True)
class Attach:
    """Send what becomes of these tasks here from now on."""

    id: str
    tasks: tuple[str, ...]


Message = Hello | Submit | Attach


def parse_request(frames: Sequence[bytes]) -> Message:
    """A client's message; raises `RequestRefusedError` for anything that is not exactly one."""
    if not 1 <= len(frames) <= 2:
        raise _malformed(f"{len(frames)} frames; one header and at most one payload are wanted")
    payload = frames[1] if len(frames) > 1 else b""
    if len(frames[0]) > MAX_HEADER or len(payload) > MAX_PAYLOAD:
        raise RequestRefusedError(
            413, "bridge.too_large", f"a header has at most {MAX_HEADER} bytes, files {MAX_PAYLOAD} together"
        )
    try:
        return _parse(parse_header(frames[0]), payload)
    except InvalidInputError as error:
        raise _malformed(str(error)) from None


def parse_header(data: bytes) -> dict[str, Any]:
    """A header of this version, either way; raises `InvalidInputError`."""
    raw = canonical.loads(data, where="header")
    if not isinstance(raw, dict) or raw.get("v") != VERSION:
        raise InvalidInputError(f"header: an object with v {VERSION} is wanted")
    if not isinstance(raw.get("op"), str):
        raise InvalidInputError("header: op is required")
    return raw


def correlation(frames: Sequence[bytes]) -> str:
    """The id of a message that was refused, as far as it can be read: so that its sender knows what was meant."""
    try:
        found = parse_header(frames[0]).get("id") if frames and len(frames[0]) <= MAX_HEADER else ""
    except InvalidInputError:
        return ""
    return found if isinstance(found, str) and len(found) <= MAX_ID else ""


def header(op: str, **fields: Any) -> bytes:
    """The bytes of a header."""
    return canonical.dumps({"v": VERSION, "op": op, **fields})


def accepted(request_id: str, task_id: str, ahead: int) -> bytes:
    """The header of an `accepted` reply. Flat and checked already: the plain encoder does, in a third of the time."""
    return json.dumps({"v": VERSION, "op": "accepted", "id": request_id, "task": task_id, "ahead": ahead}).encode()


def error(refusal: RequestRefusedError, *, request_id: str = "", task_id: str = "") -> bytes:
    """The header of an `error` reply."""
    return header(
        "error", id=request_id, task=task_id, status=refusal.status, code=refusal.reason, message=_plain(str(refusal))
    )


def submit(request_id: str, intent: Intent, approvals: Sequence[str], *, stream: bool) -> list[bytes]:
    """The frames of a `submit`; raises `InvalidInputError` for what no message holds: nobody would answer that."""
    raw = intent_json(intent)
    head = header("submit", id=request_id, intent=raw, approvals=list(approvals), stream=stream)
    payload = b"".join([file.content for file in intent.files] + [one.content for one in intent.artefacts])
    if len(head) > MAX_HEADER or len(payload) > MAX_PAYLOAD:
        raise InvalidInputError(
            f"an intent has at most {MAX_HEADER} bytes and its files at most {MAX_PAYLOAD} bytes together; "
            f"these are {len(head)} and {len(payload)}"
        )
    return [head, payload]


def intent_json(intent: Intent) -> dict[str, Any]:
    """`intent` as the header holds it: what differs from the defaults (half the time at the door), files by size."""
    raw: dict[str, Any] = {
        "intent_id": intent.intent_id,
        "requester": intent.requester,
        "priority": intent.priority.name,
        "commands": [_command(command) for command in intent.commands],
    }
    for name, default in _DEFAULTS.items():
        value = getattr(intent, name)
        if value != default:
            raw[name] = _plain_value(value)
    if intent.files:
        raw["files"] = [{"path": file.path, "mode": file.mode, "size": len(file.content)} for file in intent.files]
    if intent.artefacts:
        raw["artefacts"] = [{"name": one.name, "size": len(one.content)} for one in intent.artefacts]
    return raw


def _command(command: Command) -> dict[str, Any]:
    here = {} if command.cwd == _CWD else {"cwd": command.cwd}
    return {"argv": list(command.argv), **here}


def _plain_value(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return dict(value) if isinstance(value, Mapping) else value


def _parse(raw: dict[str, Any], payload: bytes) -> Message:
    op = raw["op"]
    if op == "submit":
        _exactly(raw, {"intent", "approvals", "stream"})
        if not isinstance(raw["stream"], bool):
            raise InvalidInputError("header.stream: true or false is wanted")
        approvals = _texts(raw["approvals"], "header.approvals", MAX_APPROVALS)
        return Submit(_id(raw), _intent(raw["intent"], payload), approvals, raw["stream"])
    if payload:
        raise InvalidInputError(f"{op!r:.80}: only submit has a payload")
    if op == "hello":
        _exactly(raw, set())
        return Hello(_id(raw))
    if op == "attach":
        _exactly(raw, {"tasks"})
        return Attach(_id(raw), _texts(raw["tasks"], "header.tasks", MAX_ATTACH))
    raise InvalidInputError(f"header.op: {op!r:.80} is none of hello, submit, attach")


def _exactly(raw: Mapping[str, Any], names: set[str]) -> None:
    wanted = {"v", "op", "id"} | names
    if wrong := sorted(raw.keys() ^ wanted):
        what = "is required" if wrong[0] in wanted else "is not known"
        raise InvalidInputError(f"header.{wrong[0]:.80}: {what}")


def _id(raw: Mapping[str, Any]) -> str:
    value = raw["id"]
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID:
        raise InvalidInputError(f"header.id: text of 1 to {MAX_ID} characters is wanted")
    return value


def _texts(value: Any, where: str, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > most:
        raise InvalidInputError(f"{where}: a list of at most {most} texts is wanted")
    if not all(isinstance(item, str) and len(item) <= MAX_ID for item in value):
        raise InvalidInputError(f"{where}: texts of at most {MAX_ID} characters are wanted")
    return tuple(value)


def _intent(raw: Any, payload: bytes) -> Intent:
    if not isinstance(raw, dict):
        raise InvalidInputError("intent: expected a mapping")
    files, at = _files(raw.pop("files", []), payload)
    artefacts, at = _artefacts(raw.pop("artefacts", []), payload, at)
    if at != len(payload):
        raise InvalidInputError(f"intent.files: {at} bytes are announced, {len(payload)} came")
    intent = Intent.parse(raw)
    return replace(intent, files=files, artefacts=artefacts) if files or artefacts else intent


def _artefacts(raw: Any, payload: bytes, at: int) -> tuple[tuple[Artefact, ...], int]:
    if not isinstance(raw, list) or len(raw) > MAX_ARTEFACTS:
        raise InvalidInputError(f"intent.artefacts: a list of at most {MAX_ARTEFACTS} artefacts is wanted")
    found: list[Artefact] = []
    for number, item in enumerate(raw):
        where = f"intent.artefacts[{number}]"
        if not isinstance(item, dict) or item.keys() != {"name", "size"} or not isinstance(item["name"], str):
            raise InvalidInputError(f"{where}: name and size are wanted")
        size = _number(item["size"], f"{where}.size", MAX_FILE_BYTES)
        found.append(Artefact(item["name"], payload[at : at + size]))
        at += size
    return tuple(found), at


def _files(raw: Any, payload: bytes) -> tuple[tuple[FileIn, ...], int]:
    if not isinstance(raw, list) or len(raw) > MAX_FILES:
        raise InvalidInputError(f"intent.files: a list of at most {MAX_FILES} files is wanted")
    found: list[FileIn] = []
    at = 0
    for number, item in enumerate(raw):
        where = f"intent.files[{number}]"
        if not isinstance(item, dict) or item.keys() != {"path", "mode", "size"}:
            raise InvalidInputError(f"{where}: path, mode and size are wanted")
        size, mode = _number(item["size"], f"{where}.size", MAX_FILE_BYTES), _number(item["mode"], f"{where}.mode", 511)
        if not isinstance(item["path"], str):
            raise InvalidInputError(f"{where}.path: text is wanted")
        found.append(FileIn(item["path"], payload[at : at + size], mode))
        at += size
    return tuple(found), at


def _number(value: Any, where: str, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= high:
        raise InvalidInputError(f"{where}: a whole number of 0 to {high} is wanted")
    return value


def _plain(text: str) -> str:
    """Text that surely goes into a header."""
    return text[:2000].encode("utf-8", "replace").decode()


def _malformed(message: str) -> RequestRefusedError:
    return RequestRefusedError(400, "bridge.malformed", message)
