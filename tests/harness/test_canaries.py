"""Host canaries: each kind of trace that a break-out would leave is noticed, and an ordinary run leaves none."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.outcome import CollectedFile
from fixtures import outcomes as make
from harness.watch.canaries import HostWatch, content_digest, spellings


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A tree that no run may change."""
    folder = tmp_path / "watched"
    (folder / "sub").mkdir(parents=True)
    (folder / "policy.rego").write_text("package x\n")
    (folder / "sub/link").symlink_to("../policy.rego")
    return folder


@pytest.fixture
def watch(tmp_path: Path, watched: Path) -> Iterator[HostWatch]:
    """Canaries over that tree, stock taken."""
    found = HostWatch(tmp_path / "canaries", (watched,))
    found.before()
    yield found
    found.close()


def test_an_ordinary_run_leaves_no_alarm(watch: HostWatch) -> None:
    """Nothing is reported when nothing happened."""
    assert watch.after(make.executed()) == ()
    assert watch.writes_outside == 0


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (lambda root: (root / "policy.rego").write_text("package y\n"), "policy.rego was changed"),
    "changed back in time": (
        lambda root: _rewrite_keeping_times(root / "policy.rego"),
        "policy.rego was changed",
    ),
    "new": (lambda root: (root / "sub/new").write_text(""), "sub/new appeared"),
    "gone": (lambda root: (root / "policy.rego").unlink(), "policy.rego is gone"),
    "mode": (lambda root: (root / "policy.rego").chmod(0o777), "policy.rego was changed"),
    "folder replaced": (lambda root: _replace_folder(root / "sub"), "sub was changed"),
    "link turned": (lambda root: _relink(root / "sub/link"), "sub/link was changed"),
}


def _rewrite_keeping_times(path: Path) -> None:
    before = path.stat()
    path.write_text("package z\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace_folder(path: Path) -> None:
    moved = path.with_name("moved")
    path.rename(moved)
    path.mkdir()
    shutil.copy(moved / "link", path / "link", follow_symlinks=False)
    (moved / "link").unlink()
    moved.rmdir()


def _relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize(("damage", "alarm"), DAMAGE.values(), ids=DAMAGE.keys())
def test_every_change_of_a_watched_tree_is_noticed(
    watch: HostWatch, watched: Path, damage: Callable[[Path], object], alarm: str
) -> None:
    """Content, mode, kind, name: whatever changes is named and counted, also when times are set back."""
    damage(watched)
    assert any(text.endswith(alarm) for text in watch.after(None))
    assert watch.writes_outside > 0


def test_what_changes_between_two_runs_is_told_of_the_second(watch: HostWatch, watched: Path) -> None:
    """One look ends a run and begins the next, so that nothing goes on between them unseen."""
    assert watch.after(make.executed()) == ()
    (watched / "policy.rego").write_text("package y\n")
    watch.before()
    assert watch.after(make.executed()) == (f"{watched}/policy.rego was changed",)


def test_what_was_told_is_not_told_of_the_next_run(watch: HostWatch, watched: Path) -> None:
    """After an alarm, of other roots, or where something was overlooked, stock is taken anew."""
    (watched / "new").write_text("")
    assert watch.after(None)
    (watched / "new").unlink()
    watch.before()
    assert watch.after(None) == ()
    watch.blind = frozenset({"files"})
    watch.before()
    assert watch.after(None) == ()
    (watched / "new").write_text("")
    watch.blind = frozenset()
    watch.before()
    assert watch.after(None) == ()
    watch.trees = (watched / "sub",)
    (watched / "sub/new").write_text("")
    watch.before()
    assert watch.after(None) == ()


def test_a_hard_link_to_a_watched_file_is_no_change(watch: HostWatch, watched: Path, tmp_path: Path) -> None:
    """Executors beside this one link the images they share: only the change time moves, and that alone is no alarm."""
    before = (watched / "policy.rego").stat().st_ctime_ns
    os.link(watched / "policy.rego", tmp_path / "link")
    assert (watched / "policy.rego").stat().st_ctime_ns != before
    assert watch.after(None) == ()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("number", [0, 1])
def test_planted_secrets_in_output_are_noticed(watch: HostWatch, stream: str, number: int) -> None:
    """The secret of the file and that of the environment are found in either stream."""
    said = make.executed(make.result(**{stream: b"x" + watch.secrets[number].encode() + b"y"}))
    assert watch.after(said) == (f"planted secret {number} is in {stream} of command 0",)


def test_planted_secrets_in_files_and_events_are_noticed(watch: HostWatch) -> None:
    """Collected files and the record itself are searched too."""
    secret = watch.secrets[0]
    outcome = replace(make.executed(), files=(CollectedFile("/workspace/x", 0o644, secret.encode()),))
    assert watch.after(outcome) == ("planted secret 0 is in the file /workspace/x",)
    told = make.with_data(make.executed(), "exec_event.FINISHED", note=secret)
    assert watch.after(told) == ("planted secret 0 is in the event trail",)


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_secrets_are_found_in_base64_at_any_offset(before: bytes, behind: bytes) -> None:
    """Wherever a secret stands in what was encoded, one of its spellings is in the encoding."""
    planted = "canary-0123456789abcdef0123456789abcdef"
    coded = base64.b64encode(before + planted.encode() + behind)
    assert any(spelling in coded for spelling in spellings(planted))


def test_secrets_are_planted_anew_and_taken_away(tmp_path: Path) -> None:
    """Each session has its own secrets in a file and in the environment; closing removes both."""
    first, second = HostWatch(tmp_path / "a"), HostWatch(tmp_path / "b")
    first.plant()
    planted = os.environ["CORDON_CANARY"]
    second.plant()
    assert planted in first.secrets
    assert not set(first.secrets) & set(second.secrets)
    for watch in (first, second):
        watch.close()
        watch.close()
    assert "CORDON_CANARY" not in os.environ
    assert not (tmp_path / "a/credentials").exists()


def test_an_unknown_program_below_the_drill_is_noticed(watch: HostWatch) -> None:
    """A child that is not one of ours is named; one of ours is not."""
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        try:
            assert f"an unknown program runs below the drill: sleep (pid {child.pid})" in watch.after(None)
            watch.programs |= {"sleep"}
            assert watch.after(None) == ()
        finally:
            child.kill()


def test_a_new_listener_is_noticed(watch: HostWatch) -> None:
    """A socket that listens beyond loopback is an alarm; one on loopback is not."""
    with socket.socket() as quiet:
        quiet.bind(("127.0.0.1", 0))
        quiet.listen()
        assert watch.after(None) == ()
    with socket.socket() as loud:
        loud.bind(("0.0.0.0", 0))  # noqa: S104 - the very thing to be noticed; closed at once
        loud.listen()
        (alarm,) = watch.after(None)
        assert alarm.startswith("a socket appeared: tcp 00000000:")


def test_the_digest_covers_names_modes_and_contents(watched: Path) -> None:
    """The digest of a tree changes with any of them and with nothing else."""
    digests = [content_digest([watched])]
    (watched / "policy.rego").touch()
    assert content_digest([watched]) == digests[0]
    for change in (
        lambda: (watched / "policy.rego").write_text("package y\n"),
        lambda: (watched / "policy.rego").chmod(0o600),
        lambda: (watched / "policy.rego").rename(watched / "other.rego"),
    ):
        change()
        digests.append(content_digest([watched]))
    assert len(set(digests)) == len(digests)
