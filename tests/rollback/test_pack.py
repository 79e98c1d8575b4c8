"""Packs: what is written is read back, what was changed since is refused, what may not be a path is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.errors import InvalidInputError
from executor.rollback import manifest, pack
from executor.rollback.manifest import Change, DamagedPackError, digest

BEFORE = {"/workspace/a.txt": b"one\n", "/workspace/sub/b.bin": b"\x00\xff", "/workspace/new.txt": None}
AFTER = {"/workspace/a.txt": b"two\n", "/workspace/sub/b.bin": None, "/workspace/new.txt": b"new\n"}


def test_a_pack_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """`load` gives what `create` and `complete` gave, with the run's changes named."""
    written = pack.create(tmp_path, BEFORE, ["/workspace/*.txt"])
    assert pack.verify(tmp_path, expected=f"sha256:{written.digest}") == written
    done = pack.complete(written, AFTER)
    assert pack.verify(tmp_path) == done
    assert done.changes == (
        Change("a.txt", "modified", digest(b"one\n"), digest(b"two\n"), expected=True),
        Change("new.txt", "created", "", digest(b"new\n"), expected=True),
        Change("sub/b.bin", "deleted", digest(b"\x00\xff"), "", expected=False),
    )


def test_a_file_nobody_looked_at_is_no_change(tmp_path: Path) -> None:
    """Only what `after` names can be in the change set."""
    done = pack.complete(pack.create(tmp_path, BEFORE, ["/workspace/**"]), {"/workspace/a.txt": b"one\n"})
    assert done.changes == ()


def test_a_run_has_one_pack(tmp_path: Path) -> None:
    """A second pack would replace the pre-images by what the run has changed already."""
    pack.create(tmp_path, BEFORE, [])
    with pytest.raises(InvalidInputError, match="already"):
        pack.create(tmp_path, AFTER, [])


@pytest.mark.parametrize("victim", ["before.json", "after.json", f"blobs/{digest(b'one' + bytes([10]))}"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "append", "empty", "delete"])
def test_damage_to_any_file_of_a_pack_is_refused(tmp_path: Path, victim: str, damage: str) -> None:
    """Each file, damaged in each way, is found; deleting the manifests is not having a pack or its end."""
    original = pack.complete(pack.create(tmp_path, BEFORE, ["/workspace/**"]), AFTER)
    path = original.folder / victim
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(flipped) // 2] ^= 1
    new = {"flip": bytes(flipped), "truncate": content[:-1], "append": content + b"x", "empty": b""}
    path.unlink()
    if damage != "delete":
        path.write_bytes(new[damage])
    if (damage, victim) == ("delete", "after.json"):
        assert pack.verify(tmp_path).after is None
    else:
        with pytest.raises((DamagedPackError, InvalidInputError)):
            pack.verify(tmp_path)


def test_a_pack_rewritten_as_a_whole_differs_from_the_digest_on_record(tmp_path: Path) -> None:
    """Seals can be made anew by whoever can write; the digest in the audit trail cannot."""
    on_record = pack.create(tmp_path / "run", BEFORE, []).digest
    forged = pack.create(tmp_path / "forged", {**BEFORE, "/workspace/a.txt": b"evil\n"}, [])
    assert pack.verify(tmp_path / "forged") == forged
    with pytest.raises(DamagedPackError, match="on record"):
        pack.verify(tmp_path / "forged", expected=on_record)


def test_a_blob_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """A link in the pack could hand out a file of the host as a pre-image."""
    made = pack.create(tmp_path, {"a": b"secret"}, [])
    (tmp_path / "elsewhere").write_bytes(b"secret")
    blob = made.folder / "blobs" / digest(b"secret")
    blob.unlink()
    blob.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedPackError):
        pack.verify(tmp_path)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/etc/passwd", "../a", "a/../b", "a//b", "./a", "a/.", "a/", "/workspace", "/workspace/",
     "/workspace/../x", "/workspace//etc", "a\0b", "a/" + "x" * 256, "/".join(["d" * 200] * 21),
     ".cordon-rollback/journal.json", "\ud800"],
)  # fmt: skip
def test_what_is_no_path_below_the_workspace_is_refused(tmp_path: Path, path: str) -> None:
    """No pack is written for a path that could lead elsewhere."""
    with pytest.raises(InvalidInputError):
        pack.create(tmp_path, {path: b""}, [])
    assert not (tmp_path / "rollback").exists()


def test_a_file_that_is_also_a_folder_is_refused(tmp_path: Path) -> None:
    """Two entries cannot both be restored when one lies below the other."""
    with pytest.raises(InvalidInputError, match="both a file and a folder"):
        pack.create(tmp_path, {"a": b"", "a/b": b""}, [])


@given(st.text(max_size=60))
def test_a_path_that_is_taken_stays_below_the_root(path: str) -> None:
    """Whatever text comes: refused, or a relative path whose parts are plain names."""
    try:
        inner = manifest.relative(path)
    except InvalidInputError:
        return
    assert not inner.startswith("/")
    assert not {"", ".", ".."} & set(inner.split("/"))
    assert manifest.relative(inner) == inner == manifest.relative(f"/workspace/{inner}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["a", "a/b", "../a", "/etc/passwd", "b", "a\0", "", "c/d/e"]) | st.text(max_size=5),
        "sha256": st.sampled_from(["", "0" * 64, "A" * 64, "0" * 63]),
        "size": st.integers(-1, 9) | st.booleans(),
    }
)


@given(JSON | st.lists(ENTRY, max_size=5))
def test_a_manifest_is_either_refused_or_holds_only_plain_paths(raw: Any) -> None:
    """The parser raises its own error or returns sorted, unique, relative entries; nothing else."""
    try:
        found = manifest.parse_entries(raw, "test")
    except DamagedPackError:
        return
    assert [entry.path for entry in found] == sorted({manifest.relative(entry.path) for entry in found})
    assert manifest.parse_entries(manifest.to_json(found), "test") == found


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_seal_is_refused_unless_it_is_one(content: bytes) -> None:
    """Arbitrary bytes never pass for a sealed file."""
    with pytest.raises(DamagedPackError):
        manifest.unseal(content, "test")


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["a", "b/c", "b/d", "e"]), st.none() | st.binary(max_size=20)))
def test_entries_survive_a_round_trip(files: dict[str, bytes | None]) -> None:
    """What is written about files is what is read about them."""
    found = manifest.entries(files)
    assert manifest.parse_entries(manifest.to_json(found), "test") == found


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("/workspace/**", "/workspace/a/b", True),
        ("/workspace/*", "/workspace/a/b", False),
        ("/workspace/*.txt", "/workspace/a.txt", True),
        ("/workspace/**/x", "/workspace/x", True),
        ("/workspace/**/x", "/workspace/a/b/x", True),
        ("out/?.log", "/workspace/out/1.log", True),
        ("/workspace/a.txt", "/workspace/aXtxt", False),
        ("/workspace/a", "/workspace/a\n", False),
    ],
)
def test_patterns_match_as_the_scope_means_them(glob: str, path: str, *, fits: bool) -> None:
    """`**` crosses folders, `*` and `?` do not, everything else stands for itself."""
    assert (manifest.matcher([glob]).fullmatch(path) is not None) == fits
