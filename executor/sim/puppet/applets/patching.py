"""patch."""

import os
import re

from applets.registry import complain, content, program, put
from shim import Unmodelled


@program("patch")
def patch(argv):
    """Applies a unified diff as cp18 and the workspace ask for it: `patch -p1 ... -i FILE` or on standard input."""
    source, strip, words = "-", 0, list(argv[1:])
    while words:
        word = words.pop(0)
        if word in {"-i", "--input"}:
            source = words.pop(0)
        elif word.startswith("--input="):
            source = word.partition("=")[2]
        elif re.fullmatch(r"-p\d+", word):
            strip = int(word[2:])
        elif word.startswith("--strip="):
            strip = int(word.partition("=")[2])
        elif word not in {"--batch", "-f", "--force", "-s", "--silent", "-t", "-N", "--forward", "-u", "--unified",
                          "--no-backup-if-mismatch", "--posix", "-E", "--remove-empty-files", "--reject-file=-",
                          "-r-", "--fuzz=0", "-F0", "--binary", "--quiet", "--"}:  # fmt: skip
            raise Unmodelled(f"patch {word}")
    rows = content(source).decode("utf-8", "surrogateescape").splitlines(keepends=True)
    at, code = 0, 0
    while at < len(rows):
        if not (rows[at].startswith("--- ") and at + 1 < len(rows) and rows[at + 1].startswith("+++ ")):
            at += 1
            continue
        names = [row[4:].split("\t")[0].strip() for row in rows[at : at + 2]]
        at += 2
        hunks = []
        while at < len(rows) and (found := re.match(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", rows[at])):
            old, new = int(found[2] or 1), int(found[4] or 1)
            at += 1
            body = []
            while at < len(rows) and (old > 0 or new > 0):
                mark = rows[at][:1]
                old -= mark in " -\n"
                new -= mark in " +\n"
                body.append(rows[at])
                at += 1
            hunks.append((int(found[1]), body))
        name = names[1] if names[1] != "/dev/null" else names[0]
        path = "/".join(name.split("/")[strip:])
        code = max(code, apply_hunks(path, names, hunks))
    return code


def apply_hunks(path, names, hunks):
    try:
        before = [] if names[0] == "/dev/null" else content(path).decode("utf-8", "surrogateescape").splitlines(True)
        after, at = [], 0
        for start, body in hunks:
            begin = max(0, start - 1)
            after += before[at:begin]
            at = begin
            for row in body:
                mark, text = row[:1], row[1:]
                if mark in {" ", "-"}:
                    if at >= len(before) or before[at].rstrip("\n") != text.rstrip("\n"):
                        put(f"patching file {path}\nHunk #1 FAILED at {start}.\n1 out of {len(hunks)} hunks FAILED\n")
                        return 1
                    if mark == " ":
                        after.append(before[at])
                    at += 1
                elif mark == "+":
                    after.append(text)
        after += before[at:]
        put(f"patching file {path}\n")
        if names[1] == "/dev/null":
            os.unlink(path)
            return 0
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if os.path.lexists(path) and not os.path.islink(path):
            os.unlink(path)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(handle, "".join(after).encode("utf-8", "surrogateescape"))
        os.close(handle)
    except OSError as error:
        return complain("patch", f"**** Can't rename or open file {path} : {error.strerror}") + 1
    return 0
