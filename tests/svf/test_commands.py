"""`cordon keys`, `cordon lease` and `cordon svf`: exit status, what is printed, and that nothing printed can act."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cordon.__main__ import main
from executor.clock import SystemClock
from executor.keys import KeyStore, SeedSigner
from executor.lease.authority import REGISTRY_NAME
from executor.lease.registry import Registry
from executor.svf import SvfLog, read
from executor.svf.files import log_files

POLICY = f"sha256:{'a' * 64}"
EVIL = "\x1b]0;owned\x07\x1b[2J\r\u202e=HYPERLINK(1)\n99 fake line"
Cordon = Callable[..., tuple[int, str]]


@pytest.fixture
def cordon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cordon:
    """Runs one command line in a state folder with keys; answers exit status and what was printed."""
    monkeypatch.setenv("CORDON_STATE", str(tmp_path / "state"))

    def run(*words: str) -> tuple[int, str]:
        status = main(words)
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    assert run("keys", "init")[0] == 0
    return run


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Where the audit trail is."""
    return tmp_path / "state" / "logs" / "svf_audit"


@pytest.fixture
def intent(tmp_path: Path) -> str:
    """An intent's file."""
    path = tmp_path / "intent.json"
    path.write_text(json.dumps({"intent_id": "i1", "requester": "cbo", "commands": [{"argv": ["echo", EVIL]}]}))
    return str(path)


def saved(path: Path, text: str) -> str:
    """`text` in a file."""
    path.write_text(text)
    return str(path)


def types(trail: Path) -> list[str]:
    """The types recorded after the first keys."""
    return [event.type for event in read(trail)][3:]


def test_key_commands_change_keys_and_record_it(cordon: Cordon, trail: Path) -> None:
    """Register, rotate and retire do so, say so, record it, and print no private key."""
    public = SeedSigner(b"h" * 32).public.hex()
    status, text = cordon("keys", "register", "human", "ada", "--public", public)
    kid = text.split()[0]
    assert (status, text) == (0, f"{kid} human ada {public}\n")
    printed = text + "".join(
        cordon(*words)[1]
        for words in (
            ("keys", "register", "persona", "architect", "--generate"),
            ("keys", "rotate"),
            ("keys", "retire", kid),
        )
    )
    status, listed = cordon("keys", "list", "--json")
    keys = json.loads(listed)
    assert [(key["role"], key["holder"], key["state"]) for key in keys["keys"]] == [
        ("issuer", "cp20", "current"),
        ("issuer", "cp20", "previous"),
        ("agent", "cp14", "registered"),
        ("agent", "cp18", "registered"),
        ("human", "ada", "retired"),
        ("persona", "architect", "registered"),
    ]
    assert keys["rotation_overdue"] is False
    created = ["key_event.CREATED"] * 3
    assert types(trail) == [*created, "key_event.ROTATED", "key_event.RETIRED"]
    for path in (trail.parents[1] / "keys" / "private").iterdir():
        assert path.read_text("ascii").strip() not in printed + listed
    assert cordon("svf", "verify", "--sealed")[0] == 0


def test_wrong_use_is_two(cordon: Cordon, intent: str) -> None:
    """Misuse exits 2 and says what to do."""
    assert cordon("keys", "init")[0] == 2
    for words in (
        ("keys", "retire", "nothing"),
        ("lease", "show", "nothing"),
        ("lease", "revoke", "nothing", "--why", "x"),
        ("lease", "issue", intent, "--policy-digest", POLICY, "--expires", "601"),
        ("lease", "issue", intent, "--policy-digest", "none"),
        ("lease", "issue", "/nonexistent", "--policy-digest", POLICY),
        ("svf", "tail", "--type", "nothing"),
    ):
        status, text = cordon(*words)
        assert (status, text[:14]) == (2, "cordon: error:"), words


def test_lease_commands(cordon: Cordon, intent: str, tmp_path: Path, trail: Path) -> None:
    """Issue, verify, cosign, renew, revoke, list and show a lease; each step is recorded once."""
    status, document = cordon("lease", "issue", intent, "--policy-digest", POLICY, "--cosign", "cp14")
    assert status == 0
    lease_id = json.loads(document)["lease_id"]
    first = saved(tmp_path / "first.json", document)
    assert cordon("lease", "verify", first, "--intent", intent)[0] == 0
    assert cordon("lease", "verify", first, "--task", "t", "--json")[0] == 0
    status, bytes_to_sign = cordon("lease", "cosign", lease_id, "human", "ada", "--bytes")
    human = SeedSigner(b"h" * 32)
    cordon("keys", "register", "human", "ada", "--public", human.public.hex())
    signature = human.sign(bytes_to_sign.encode()).hex()
    status, document = cordon("lease", "cosign", lease_id, "human", "ada", "--signature", human.kid, signature)
    assert [cosigner["id"] for cosigner in json.loads(document)["cosigners"]] == ["cp14", "ada"]
    status, document = cordon("lease", "renew", lease_id, "--policy-digest", POLICY)
    renewed = json.loads(document)["lease_id"]
    second = saved(tmp_path / "second.json", document)
    assert cordon("lease", "revoke", renewed, "--why", EVIL)[0] == 0
    status, text = cordon("lease", "verify", second, "--json")
    assert (status, json.loads(text)["reason"]) == (1, "lease.revoked")
    assert cordon("lease", "verify", second, "--offline")[0] == 0
    status, text = cordon("lease", "list", "--json")
    assert {row["lease_id"]: row["state"] for row in json.loads(text)} == {lease_id: "revoked", renewed: "revoked"}
    assert json.loads(cordon("lease", "show", renewed)[1])["revoked"]["why"] == EVIL
    names = "ISSUED COSIGNED COSIGNED REVOKED ISSUED REVOKED"
    assert [kind for kind in types(trail) if kind.startswith("lease")] == [
        f"lease_event.{name}" for name in names.split()
    ]
    assert "order faults 0" in cordon("svf", "coverage")[1]


def test_revoking_works_while_a_service_holds_the_trail(cordon: Cordon, intent: str, trail: Path) -> None:
    """A revocation counts at once although another process writes the trail; it is recorded later, once."""
    lease_id = json.loads(cordon("lease", "issue", intent, "--policy-digest", POLICY)[1])["lease_id"]
    store = KeyStore(trail.parents[1], SystemClock())
    with SvfLog.open(trail, SystemClock(), store.issuer()):
        status, text = cordon("lease", "revoke", lease_id, "--why", "test")
        assert (status, "not recorded here" in text) == (0, True)
        assert cordon("lease", "issue", intent, "--policy-digest", POLICY)[0] == 1
    other = json.loads(cordon("lease", "issue", intent, "--policy-digest", POLICY)[1])["lease_id"]
    cordon("lease", "revoke", other, "--why", "test")
    revoked = [event.lease_id for event in read(trail) if event.type == "lease_event.REVOKED"]
    assert revoked == [lease_id, other]


@pytest.mark.parametrize(
    "words",
    [
        ("tail",), ("tail", "--json"), ("show", "--vm", "v"), ("show", "--seq", "4"), ("show", "--seq", "4", "--json"),
        ("export",), ("export", "--format", "json"), ("export", "--format", "csv"), ("coverage",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_nothing_a_guest_said_can_act_on_a_terminal(cordon: Cordon, trail: Path, words: tuple[str, ...]) -> None:
    """Escape sequences, carriage returns, direction marks and forged lines come out escaped in every form."""
    store = KeyStore(trail.parents[1], SystemClock())
    with SvfLog.open(trail, SystemClock(), store.issuer()) as log:
        log.emit("control_event.SCRAM", EVIL, vm_id="v", task_id=EVIL, data={"said": EVIL, EVIL: 1})
    status, text = cordon("svf", *words)
    assert status in (0, 1)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text.replace("\r\n", "\n"))
    assert not any(line.startswith("99 fake") for line in text.splitlines())


def test_export_is_complete_in_every_form(cordon: Cordon, trail: Path, tmp_path: Path) -> None:
    """json, jsonl and csv hold every event; a spreadsheet finds no formula in the csv."""
    store = KeyStore(trail.parents[1], SystemClock())
    with SvfLog.open(trail, SystemClock(), store.issuer()) as log:
        log.emit("control_event.SCRAM", "=1+1", vm_id="@v", data={"said": EVIL})
    events = [event.to_json() for event in read(trail)]
    assert json.loads(cordon("svf", "export", "--format", "json")[1]) == events
    assert [json.loads(line) for line in cordon("svf", "export")[1].splitlines()] == events
    assert cordon("svf", "export", "--format", "csv", "-o", str(tmp_path / "trail.csv"))[0] == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "trail.csv").read_text("utf-8"))))
    assert [int(row["seq"]) for row in rows] == [event["seq"] for event in events]
    assert [json.loads(row["data"]) for row in rows] == [event["data"] for event in events]
    assert (rows[-1]["actor"], rows[-1]["vm_id"]) == ("'=1+1", "'@v")


def test_verify_names_the_damage(cordon: Cordon, trail: Path) -> None:
    """A damaged trail exits 1 with kind and place, as text and as JSON; a sound one exits 0."""
    assert cordon("svf", "verify", "--sealed")[0] == 0
    file = next(trail.glob("*.jsonl"))
    file.write_bytes(file.read_bytes().replace(b'"holder":"cp14"', b'"holder":"cp66"'))
    status, text = cordon("svf", "verify")
    assert (status, text) == (1, "damaged: edit at record 2: record 2 was altered: its hash does not fit\n")
    status, text = cordon("svf", "verify", "--json")
    answer: dict[str, Any] = json.loads(text)
    assert (status, answer["sound"], answer["kind"], answer["seq"]) == (1, False, "edit", 2)


def test_coverage_draws_and_can_demand_everything(cordon: Cordon, tmp_path: Path) -> None:
    """Coverage writes the drawing; with --full anything unvisited is a failure."""
    drawing = tmp_path / "machine.svg"
    status, text = cordon("svf", "coverage", "--svg", str(drawing), "--json")
    assert (status, json.loads(text)["types_covered"]) == (0, 1)
    assert drawing.read_text("utf-8").startswith("<svg")
    assert cordon("svf", "coverage", "--full")[0] == 1


def test_ends_of_leases_are_recorded_by_expire(cordon: Cordon, trail: Path, intent: str) -> None:
    """A lease whose second is over is expired, on record once; a revocation is on record already."""
    status, document = cordon("lease", "issue", intent, "--policy-digest", POLICY, "--expires", "1", "--json")
    lease = json.loads(document)["lease_id"]
    other = json.loads(cordon("lease", "issue", intent, "--policy-digest", POLICY)[1])["lease_id"]
    said = json.loads(cordon("lease", "revoke", other, "--why", "x", "--json")[1])
    assert said == {"lease_id": other, "state": "revoked", "recorded": True}
    registry = Registry(trail.parents[1] / "outgoing/leases" / REGISTRY_NAME)
    record = registry.find(lease)
    assert record is not None
    while SystemClock().now_ns() < record.expires_ns:
        assert cordon("lease", "verify", "--offline", str(trail.parents[1] / f"outgoing/leases/{lease}.json"))[0] < 2
    registry.close()
    assert cordon("lease", "expire", "--json") == (
        0, json.dumps([{"lease_id": lease, "state": "expired"}], indent=2) + "\n",
    )  # fmt: skip
    assert cordon("lease", "expire") == (0, "recorded: 0\n")
    assert types(trail)[-2:] == ["lease_event.REVOKED", "lease_event.EXPIRED"]
    assert status == 0


def test_a_lease_is_good_for_one_to_a_thousand_uses(cordon: Cordon, intent: str) -> None:
    """A wrong number of uses is refused in words."""
    for uses in ("0", "-1", "1001"):
        status, said = cordon("lease", "issue", intent, "--policy-digest", POLICY, "--uses", uses)
        assert (status, said.count("\n")) == (2, 1)
        assert "1 to 1000 uses" in said


@pytest.mark.parametrize("words", [("export", "-o"), ("coverage", "--svg")])
def test_a_file_that_cannot_be_written_is_one_line(cordon: Cordon, tmp_path: Path, words: tuple[str, ...]) -> None:
    """No traceback, no half file."""
    status, said = cordon("svf", *words, str(tmp_path / "nowhere" / "x"))
    assert (status, said) == (2, said.splitlines()[0] + "\n")
    assert "cannot write" in said


def test_an_export_that_fails_leaves_the_old_file(cordon: Cordon, trail: Path, tmp_path: Path) -> None:
    """A trail that is no trail any more does not cost the last good export, and leaves nothing beside it."""
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "trail.json"
    assert cordon("svf", "export", "--format", "json", "-o", str(target))[0] == 0
    good = target.read_bytes()
    with log_files(trail)[0].path.open("ab") as stream:
        stream.write(b"{}\n")
    assert cordon("svf", "export", "--format", "json", "-o", str(target))[0] == 2
    assert target.read_bytes() == good
    assert list(folder.iterdir()) == [target]


def test_an_empty_export_is_empty(cordon: Cordon) -> None:
    """No event: no line of JSON Lines, an empty list of JSON."""
    assert cordon("svf", "export", "--intent", "none") == (0, "")
    status, text = cordon("svf", "export", "--intent", "none", "--format", "json")
    assert (status, json.loads(text)) == (0, [])


def test_a_pipe_in_place_of_a_file_is_not_waited_for(cordon: Cordon, trail: Path) -> None:
    """What is no regular file is said to be none."""
    path = log_files(trail)[0].path
    path.unlink()
    os.mkfifo(path)
    status, said = cordon("svf", "verify")
    assert status == 1
    assert "no regular file" in said
