"""Where two policy directories differ."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from harness.impact.hunks import hunks
from harness.mutate.text import Source

LINES = st.lists(st.sampled_from(["", "a", "b", "c", "# d"]), max_size=12)
ENDS = st.sampled_from(["\n", "\r\n"])


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    return root


@given(old=LINES, new=LINES, end=ENDS, last=st.sampled_from(["", "x", "x\n"]))
def test_all_pieces_taken_back_give_what_was(old: list[str], new: list[str], end: str, last: str) -> None:
    """Nothing of a difference is lost or named twice, and each piece stands where it says."""
    was, now = "".join(line + end for line in old), "".join(line + end for line in new) + last
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        found = hunks(written(root / "a", {"x.rego": was}), written(root / "b", {"x.rego": now}))
    assert Source("x.rego", now).apply([hunk.back for hunk in found if hunk.back]) == was
    lines = now.splitlines()
    assert all(tuple(lines[hunk.line - 1 :][: len(hunk.added)]) == hunk.added for hunk in found)
    assert all(hunk.removed or hunk.added for hunk in found)


def test_only_what_decides_is_compared(tmp_path: Path) -> None:
    """Tests, explanations of mutants and other files are no change of what is decided; a file of one side only is."""
    was = {"p/p.rego": "package p\n", "p/p_test.rego": "package p_test\n", "p/data.yaml": "a: 1\n", "notes.md": "a"}
    now = {
        "p/p.rego": "package p\n",
        "p/p_test.rego": "package p_test # x\n",
        "q/q.rego": "package q\n",
        "notes.md": "",
    }
    found = hunks(written(tmp_path / "a", was), written(tmp_path / "b", now))
    assert [(hunk.place, hunk.back, hunk.lines()) for hunk in found] == [
        ("p/data.yaml:1", None, ("-a: 1",)),
        ("q/q.rego:1", None, ("+package q",)),
    ]


def test_comments_alone_decide_nothing(tmp_path: Path) -> None:
    """A piece that holds comments and empty lines only is told apart; one word of a rule, or of data, is not."""
    was = "package p\n\n# was\n\na := 1\n"
    words = hunks(
        written(tmp_path / "a", {"p.rego": was}), written(tmp_path / "b", {"p.rego": was.replace("was", "is")})
    )
    rules = hunks(tmp_path / "a", written(tmp_path / "c", {"p.rego": was.replace("1", "2 # was 1")}))
    assert [hunk.decides for hunk in words] == [False]
    assert [hunk.decides for hunk in rules] == [True]
