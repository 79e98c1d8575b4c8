"""Bundles: the digest says what is in them, the signature who made them."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.errors import PolicyUnavailableError
from executor.policy import DecisionRequest, PolicyEngine, Verification, load_bundle, sign_bundle, write_bundle
from executor.policy.__main__ import main

KEY = "a secret of these tests, thirty-two bytes and more"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A signing key: an HMAC secret, for which one file serves both sides."""
    file = tmp_path / "key"
    file.write_text(KEY)
    return file


def repacked(archive: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """`archive` with its files changed, everything else as it was."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    change(files)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue())


def test_the_digest_is_of_content_not_of_place(tmp_path: Path, policies: Path) -> None:
    """A copy has the same digest and the same bytes; a file touched has; a file changed has not."""
    copied = Path(shutil.copytree(policies, tmp_path / "p"))
    original, copy = load_bundle(policies), load_bundle(copied)
    assert (original.digest, original.archive) == (copy.digest, copy.archive)
    rego = copied / "cordon/rules/host/host.rego"
    rego.touch()
    assert load_bundle(copied).digest == original.digest
    rego.write_bytes(rego.read_bytes() + b"\n")
    assert load_bundle(copied).digest != original.digest


def test_tests_are_not_in_the_digest(tmp_path: Path, policies: Path) -> None:
    """A new test changes no decision, and so no digest."""
    copied = Path(shutil.copytree(policies, tmp_path / "p"))
    (copied / "cordon/rules/host/more_test.rego").write_text("package cordon.rules.host_test\n")
    assert load_bundle(copied).digest == load_bundle(policies).digest


def test_an_archive_is_the_directory_it_was_made_of(tmp_path: Path, policies: Path) -> None:
    """Packed and read again: the same sources, the same digest."""
    packed = write_bundle(policies, tmp_path / "b.tar.gz")
    read = load_bundle(tmp_path / "b.tar.gz")
    assert (read.files, read.digest, read.signed) == (packed.files, packed.digest, False)


@pytest.mark.parametrize("kind", ["link", "stamp"])
def test_what_a_directory_may_not_hold(tmp_path: Path, policies: Path, kind: str) -> None:
    """Linked policies, and ones that set the stamp themselves, are refused."""
    copied = Path(shutil.copytree(policies, tmp_path / "p"))
    if kind == "link":
        (copied / "cordon/linked.rego").symlink_to(copied / "cordon/decision.rego")
    else:
        (copied / "cordon/stamp").mkdir()
        (copied / "cordon/stamp/data.yaml").write_text("digest: mine\n")
    with pytest.raises(PolicyUnavailableError):
        load_bundle(copied)


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.update({"cordon/more.rego": b"package cordon\n"}),
        lambda files: files.pop("cordon/decision.rego"),
        lambda files: files.update({"cordon/stamp/data.json": b'{"digest": "sha256:0"}'}),
        lambda files: files.pop("cordon/stamp/data.json"),
        lambda files: files.update({"../escape.rego": b"package x\n"}),
        lambda files: files.update({"cordon/notes.txt": b"hello"}),
        lambda files: files.update({".manifest": b"[]"}),
    ],
    ids=["more", "less", "other stamp", "no stamp", "escape", "stranger", "manifest"],
)
def test_an_archive_that_is_not_what_it_says(
    tmp_path: Path, policies: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    """An archive whose stamp does not belong to its content is refused, signed or not."""
    target = tmp_path / "b.tar.gz"
    bundle = write_bundle(policies, target)
    target.write_bytes(repacked(bundle.archive, change))
    with pytest.raises(PolicyUnavailableError):
        load_bundle(target)


@pytest.mark.parametrize("junk", [b"", b"junk", gzip.compress(b"junk")], ids=["empty", "junk", "zipped junk"])
def test_junk_is_no_bundle(tmp_path: Path, junk: bytes) -> None:
    """A file that is no archive is refused in one line."""
    (tmp_path / "b.tar.gz").write_bytes(junk)
    with pytest.raises(PolicyUnavailableError):
        load_bundle(tmp_path / "b.tar.gz")


def test_a_signed_bundle_is_loaded(
    tmp_path: Path, opa: Path, policies: Path, key: Path, hello: DecisionRequest
) -> None:
    """Signed with the key that is asked for: loaded, and it decides; without a key asked for it is loaded too."""
    target = tmp_path / "b.tar.gz"
    signed = sign_bundle(opa, policies, target, key=key, alg="HS256")
    for verification in (Verification(key, "HS256"), None):
        with PolicyEngine(target, verification=verification) as engine:
            assert engine.digest == signed.digest == load_bundle(policies).digest
            assert engine.decide(hello).verdict == "allow"


def test_unsigned_policies_are_refused_where_signed_ones_are_asked_for(
    tmp_path: Path, policies: Path, key: Path
) -> None:
    """Neither a directory nor an unsigned archive gets past a verification key."""
    write_bundle(policies, tmp_path / "b.tar.gz")
    for source in (policies, tmp_path / "b.tar.gz"):
        with pytest.raises(PolicyUnavailableError, match="not signed"):
            PolicyEngine(source, verification=Verification(key, "HS256"))


def test_another_key_is_refused(tmp_path: Path, opa: Path, policies: Path, key: Path) -> None:
    """A bundle signed with a key that is not the one asked for is refused by OPA."""
    target = tmp_path / "b.tar.gz"
    sign_bundle(opa, policies, target, key=key, alg="HS256")
    other = tmp_path / "other"
    other.write_text(KEY[::-1])
    with pytest.raises(PolicyUnavailableError, match="failed to verify JWT signature"):
        PolicyEngine(target, verification=Verification(other, "HS256"))


def test_an_altered_bundle_is_refused(tmp_path: Path, opa: Path, policies: Path, key: Path) -> None:
    """One word of one rule changed, stamp made to fit: the signature does not, and OPA refuses it."""
    target = tmp_path / "b.tar.gz"
    signed = sign_bundle(opa, policies, target, key=key, alg="HS256")
    changed = Path(shutil.copytree(policies, tmp_path / "p"))
    rego = changed / "cordon/rules/host/host.rego"
    rego.write_text(rego.read_text().replace("vms_running <", "vms_running <="))
    forged = write_bundle(changed, tmp_path / "forged.tar.gz")

    def graft(files: dict[str, bytes]) -> None:
        with tarfile.open(fileobj=io.BytesIO(signed.archive), mode="r:gz") as tar:
            signatures = tar.extractfile(".signatures.json")
            assert signatures is not None
            files[".signatures.json"] = signatures.read()

    target.write_bytes(repacked(forged.archive, graft))
    assert load_bundle(target).signed
    with pytest.raises(PolicyUnavailableError, match="digest mismatch"):
        PolicyEngine(target, verification=Verification(key, "HS256"))


def test_packed_from_the_command_line(
    tmp_path: Path, policies: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m executor.policy pack` makes what the engine takes and says its digest; a mistake is one line."""
    target = tmp_path / "b.tar.gz"
    assert main(["pack", str(policies), str(target), "--sign-with", str(key), "--alg", "HS256"]) == 0
    digest = load_bundle(policies).digest
    assert capsys.readouterr().out == f"{target}: {digest} signed\n"
    with PolicyEngine(target, verification=Verification(key, "HS256")) as engine:
        assert engine.digest == digest
    assert main(["pack", str(tmp_path / "nowhere"), str(target)]) == 1
    assert capsys.readouterr().err.startswith("cordon: error: no policies at")
