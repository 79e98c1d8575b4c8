"""Targets that read: YAML, frames, intents, canonical JSON, patches, and the texts that go into reports."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cordon.terminal import one_line, safe
from executor import canonical
from executor.bridge import wire
from executor.channel import frame
from executor.errors import InvalidInputError, RequestRefusedError
from executor.intent import Intent
from executor.lease import intent_digest
from executor.policy import DecisionRequest
from executor.policy.patch import touched_paths
from executor.reporting.text import html
from executor.sentinel.change import read_change
from harness.document.scenario import parse_text
from harness.errors import ScenarioError
from harness.redteam.attacks import anything, bent, bent_bytes, bent_text, texts
from harness.redteam.target import EscapeError, Target
from harness.report.escape import guest_text, visible

ROOT: Final = Path(__file__).parents[2]
INTENTS: Final[list[dict[str, Any]]] = [
    {"intent_id": "i-1", "requester": "cbo", "commands": [{"argv": ["echo", "hello"]}]},
    {
        "intent_id": "i-2",
        "requester": "drill",
        "persona": "architect",
        "phase": "staging",
        "priority": "HIGH",
        "capabilities": ["base:execute", "dev:python", "exec:artefact"],
        "commands": [{"argv": ["python3", "/workspace/a.py"], "cwd": "/workspace"}, {"argv": ["/artefact/kernel"]}],
        "env": {"TASK_NAME": "x"},
        "files": [
            {"path": "/workspace/a.py", "text": "print(1)\n", "mode": 0o755},
            {"path": "/workspace/b", "base64": "AA=="},
        ],
        "artefacts": [{"name": "kernel", "base64": "f0VMRg=="}],
        "patch": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
        "collect": ["/workspace/out"],
        "scope": {
            "paths_read": ["/**"],
            "paths_write": ["/workspace/**"],
            "network": "egress",
            "endpoints": [{"host": "mirror.cordon.test", "port": 443, "proto": "tcp"}],
        },
        "limits": {"cpu_quota": 50, "mem_quota_mb": 64, "wallclock_timeout_s": 5},
    },
]
PATCHES: Final = [
    "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
    (
        "diff --git a/old.py b/new.py\nsimilarity index 90%\nrename from old.py\nrename to new.py\n"
        "--- a/old.py\n+++ b/new.py\n@@ -1,2 +1,3 @@\n import os\n+import re\n x = 1\n"
    ),
    "--- /dev/null\n+++ b/made.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n\\ No newline at end of file\n",
    "diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
    "diff --git a/p b/p\nnew file mode 100755\nindex 0000000..1111111\nGIT binary patch\nliteral 0\nHcmV?d00001\n\n",
]
_PLAIN: Final = re.compile(r"(/[A-Za-z0-9_@%+=:,~#.-]+)+")
"""Names the policy does not refuse by themselves (policies/cordon/rules/paths)."""
_PIECES: Final = (
    *("--- a/evil\n+++ b/evil\n", "@@ -1 +1 @@\n", "@@ -0,0 +1,9 @@\n"),
    *("\\ No newline at end of file\n", "rename to ../x\n"),
    *("+++ b//etc/passwd\n", "--- \n", "diff --git a/x b/y z b/w\n", "copy from a\ncopy to b\n"),
    *("\r\n", "\x0c", "\u2028", "\x85"),
    *("+++ /workspace/../etc/x\t2020\n", '+++ "b/with space"\n', "-- \n", "GIT binary patch\n", "index 0..1\n"),
)  # fmt: skip


def _scenarios() -> list[str]:
    files = sorted((ROOT / "scenarios").rglob("*.yaml"))
    return [text for path in files if len(text := path.read_text("utf-8")) < 4000] or ["schema: cordon.scenario/1\n"]


def _yaml(_: Any, attack: str) -> None:
    """A located complaint, or scenarios whose places are in the text."""
    try:
        found = parse_text(attack, "attack.yaml", ROOT / "scenarios")
    except ScenarioError as error:
        if not error.problems:
            raise EscapeError("a refusal without a problem") from None
        lines = attack.count("\n") + attack.count("\r") + attack.count("\x85") + attack.count("\u2028") + 2
        if bad := [
            problem for problem in error.problems if not 1 <= problem.place.line <= lines + attack.count("\u2029")
        ]:
            raise EscapeError(f"a problem at a line that is not there: {bad[0]}") from None
        return
    if len({drill.id for drill in found}) != len(found):
        raise EscapeError("two scenarios of one id")


def _frames() -> SearchStrategy[Any]:
    good = b"".join(frame.encode(number, b"x" * number) for number in range(1, 4))
    cuts = st.lists(st.integers(0, 80), max_size=4)
    return st.fixed_dictionaries({"data": bent_bytes([good, good[:20], b""]), "cuts": cuts})


def _fed(chunks: list[bytes]) -> tuple[list[Any], str]:
    parser, found = frame.FrameParser(), []
    for chunk in chunks:
        try:
            for item in parser.feed(chunk):
                found.append((item.sequence, item.payload))  # noqa: PERF401 - what came before a violation counts
        except frame.FrameError as error:
            try:
                list(parser.feed(b""))
            except frame.FrameError as spent:
                if spent.reason == "spent":
                    return found, error.reason
            raise EscapeError("a parser goes on after a violation") from None
        if parser.pending > frame.MAX_PAYLOAD + frame.HEADER.size:
            raise EscapeError("more kept than a frame")
    return found, ""


def _frame(_: Any, attack: Any) -> None:
    """However the bytes are cut, the same frames and the same end come of them."""
    data, at, chunks = attack["data"], 0, []
    for cut in attack["cuts"]:
        chunks.append(data[at : at + cut])
        at += cut
    chunks.append(data[at:])
    if _fed(chunks) != (whole := _fed([data])):
        raise EscapeError(f"reads otherwise in pieces than whole: cut at {attack['cuts']}")
    for sequence, payload in whole[0]:
        if frame.encode(sequence, payload) not in data:
            raise EscapeError("a frame that was not in the bytes")


def _intent(_: Any, attack: Any) -> None:
    """A refusal in words, or an intent that can be judged, bound by a digest, and sent as it is."""
    try:
        intent = Intent.parse(attack)
    except InvalidInputError as error:
        if "\n" in str(error) and not str(error).isprintable():
            visible(str(error))
        return
    DecisionRequest(intent).document(now=1)
    intent_digest(intent)
    try:
        sent = wire.parse_request(wire.submit("r", intent, ("cp14",), stream=False))
    except RequestRefusedError:
        return  # over the bridge's own bounds
    if not isinstance(sent, wire.Submit) or sent.intent != intent:
        raise EscapeError("another intent arrives than was sent")


def _canonical(_: Any, attack: bytes) -> None:
    """What is read is written as one spelling, which reads as the same."""
    try:
        value = canonical.loads(attack)
    except InvalidInputError:
        return
    try:
        spelled = canonical.dumps(value)
    except InvalidInputError as error:
        raise EscapeError(f"was read and cannot be written: {error}") from None
    if canonical.loads(spelled) != value or canonical.dumps(canonical.loads(spelled)) != spelled:
        raise EscapeError("two spellings of one value")
    if canonical.is_canonical(attack, value) != (attack == spelled):
        raise EscapeError("another spelling passes as the canonical one")


def _jsons() -> SearchStrategy[bytes]:
    originals = [json.dumps(raw).encode() for raw in INTENTS] + [b'{"b":1,"a":[true,null,"\\u00e9"]}', b"[]", b"1"]
    deep = st.integers(1, 5000).map(lambda depth: b"[" * depth + b"]" * depth)
    return bent_bytes(originals) | anything().map(lambda value: json.dumps(value).encode()) | deep


def _patch(_: Any, attack: str) -> None:
    """What the reviewer takes a patch to change, the policy is told of, or refuses for the names it was told."""
    told = set(touched_paths(attack))
    if not all(_PLAIN.fullmatch(path) for path in told):
        return
    try:
        change = read_change(attack)
    except InvalidInputError:
        return
    for path in (*change.paths, *change.gone):
        full = path if path.startswith("/") else f"/workspace/{path}"
        if full not in told:
            raise EscapeError(f"the policy is not told of a path: {path!r}; it is told of {sorted(told)!r}"[:300])


def _text(_: Any, attack: Any) -> None:
    """Nothing that steers a terminal, hides text or opens a tag comes out."""
    text = attack if isinstance(attack, str) else attack.decode("utf-8", "backslashreplace")
    shown = {"visible": visible(text), "guest_text": guest_text(text.encode("utf-8", "surrogatepass"))}
    shown |= {"safe": safe(text), "one_line": one_line(text), "html": html(text, 10_000)}
    for name, out in shown.items():
        bad = [char for char in out if unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t"]
        if bad or any("\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069" for char in out):
            raise EscapeError(f"{name} lets a control character or a direction mark through: {bad[:1]!r}")
    if any(char in shown["one_line"] for char in "\n\t\r"):
        raise EscapeError("one_line is not one line")
    if "<" in shown["html"] or '"' in shown["html"] or "'" in shown["html"]:
        raise EscapeError("html lets markup through")


TARGETS: Final = (
    Target("yaml", "scenarios in YAML", lambda: bent_text(_scenarios()), _yaml, examples=40),
    Target("frame", "frames of the guest channel", _frames, _frame, examples=1000),
    Target("intent", "intents as they come", lambda: bent(INTENTS), _intent, examples=300),
    Target("canonical", "canonical JSON", _jsons, _canonical, examples=500),
    Target("patch", "unified diffs", lambda: bent_text(PATCHES, _PIECES), _patch, examples=300),
    Target("text", "guest text for terminals and reports", lambda: texts | st.binary(max_size=60), _text, examples=500),
)
