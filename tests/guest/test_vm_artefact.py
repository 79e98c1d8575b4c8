"""Artefacts in a real VM: what a lease names by digest runs from one place, read-only, and nothing else does."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from executor.channel import channel_pb2 as pb

pytestmark = pytest.mark.vm

EXEC = ("exec:artefact",)


@pytest.fixture(scope="module")
def program(guest: Any) -> bytes:
    """A program that runs in this guest: the image's own echo, which a task without base:execute cannot run."""
    argv = ("cat", "/usr/bin/echo")
    guest.sandbox(argv)
    return bytes(guest.run(*argv).stdout)


def named(program: bytes, name: str = "tool") -> tuple[tuple[str, str], ...]:
    return ((name, hashlib.sha256(program).hexdigest()),)


def test_it_runs_where_the_lease_says(guest: Any, program: bytes) -> None:
    """The named bytes run at /artefact/NAME with no other capability, and are there unchanged and unwritable."""
    argv = ("/artefact/tool", "here")
    guest.sandbox(argv, capabilities=EXEC, artefacts=named(program))
    assert guest.put("/artefact/tool", program).file_stored.size == len(program)
    run = guest.run(*argv)
    assert (run.code, run.stdout) == (0, b"here\n")
    assert guest.run(*argv).stdout == b"here\n"  # and in the next container of the lease


def test_only_there_and_read_only(guest: Any, program: bytes) -> None:
    """A copy of it cannot be executed, its folder cannot be written, the file itself cannot be changed."""
    script = (
        "cp /artefact/tool /workspace/copy && chmod 755 /workspace/copy; /workspace/copy x; echo copy=$?;"
        "echo >> /artefact/tool; echo append=$?; cp /artefact/tool /artefact/more; echo more=$?;"
        "rm -f /artefact/tool; echo rm=$?; /artefact/tool itself"
    )
    argv = ("/bin/sh", "-c", script)
    guest.sandbox(argv, capabilities=("base:execute", *EXEC), artefacts=named(program))
    guest.put("/artefact/tool", program)
    said = guest.run(*argv).stdout.decode().split()
    assert said == ["copy=126", "append=2", "more=1", "rm=1", "itself"]


def test_what_is_not_named_does_not_run(guest: Any, program: bytes) -> None:
    """The same bytes in the workspace, or another name at the place, are refused before anything starts."""
    commands = (("/workspace/tool", "x"), ("/artefact/other", "x"))
    guest.sandbox(*commands, capabilities=EXEC, artefacts=named(program))
    guest.put("/artefact/tool", program)
    guest.put("/workspace/tool", program, 0o755)
    assert guest.run(*commands[0]).cause == "guest.capability_not_granted"
    assert guest.run(*commands[1]).code == 127
    assert guest.put("/artefact/other", program).denied.code == "guest.artefact_name"
    assert guest.put("/artefact/../tool", program).denied.code == "guest.artefact_name"


def test_other_bytes_never_become_executable(guest: Any, program: bytes) -> None:
    """Bytes with another digest are refused and gone; until the right ones have come nothing starts."""
    argv = ("/artefact/tool", "x")
    guest.sandbox(argv, capabilities=EXEC, artefacts=named(program))
    assert guest.run(*argv).cause == "guest.artefact_missing"
    assert guest.put("/artefact/tool", program + b"x").denied.code == "guest.artefact_digest"
    assert guest.run(*argv).cause == "guest.artefact_missing"
    guest.put("/artefact/tool", program)
    assert guest.run(*argv).code == 0
    assert guest.put("/artefact/tool", program).denied.code == "guest.artefact_name"  # it has come


@pytest.mark.parametrize(
    ("capabilities", "name", "digest", "code"),
    [
        (("base:execute",), "tool", "0" * 64, "guest.capability_not_granted"),
        (EXEC, "../tool", "0" * 64, "guest.artefact_name"),
        (EXEC, "", "0" * 64, "guest.artefact_name"),
        (EXEC, "Tool", "0" * 64, "guest.artefact_name"),
        (EXEC, "t" * 65, "0" * 64, "guest.artefact_name"),
        (EXEC, "tool", "0" * 63, "guest.artefact_name"),
        (EXEC, "tool", "A" * 64, "guest.artefact_name"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(
    guest: Any, capabilities: tuple[str, ...], name: str, digest: str, code: str
) -> None:
    """Without the capability, and for names or digests that are none, there is no sandbox at all."""
    guest.sandbox(("true",))
    guest.send(reset=pb.Reset())
    guest.expect("ready")
    assert guest.prepare(("true",), capabilities=capabilities, artefacts=((name, digest),)).denied.code == code
    assert guest.prepare(("true",)).WhichOneof("body") == "prepared"


@pytest.mark.parametrize("path", ["/etc/passwd", "/artefact/other"])
def test_a_file_in_pieces_is_refused_once(guest: Any, path: str) -> None:
    """However many pieces a refused file has, there is one refusal: the next answer is to the next question."""
    guest.sandbox(("true",))
    for number in range(4):
        guest.send(put_file=pb.PutFile(path=path, mode=0o644, data=b"x", last=number == 3))
    assert guest.expect("denied").denied.task_id == path
    guest.send(ping=pb.Ping(nonce=9))
    assert guest.expect("pong").pong.nonce == 9
    assert guest.put("/workspace/in", b"y").file_stored.size == 1
