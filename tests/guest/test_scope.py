"""Write scopes of a lease, as places the kernel can enforce."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.guest.errors import DeniedError
from executor.guest.scope import Writable, writable

OUT, OUTER = Writable("/workspace/out", folder=True), Writable("/workspace/outer", folder=True)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["/workspace/**"], (Writable("/workspace", folder=True),)),
        (["/workspace"], (Writable("/workspace", folder=True),)),
        (["/workspace/out/**", "/workspace/a.txt"], (OUT, Writable("/workspace/a.txt", folder=False))),
        (["/workspace/out/sub/**", "/workspace/out/**"], (OUT,)),
        (["/workspace/outer/**", "/workspace/out/"], (OUT, OUTER)),
        (["/tmp/**", "/tmp/x"], ()),  # noqa: S108 - the sandbox's
        ([], ()),
    ],
)
def test_patterns_become_places(patterns: list[str], expected: tuple[Writable, ...]) -> None:
    """Folders, files, nested and neighbouring ones."""
    assert set(writable(patterns)) == set(expected)


ELSEWHERE = ["/etc/**", "/", "/**", "workspace/**", "", "/workspacex/**", "**"]
NOT_PLAIN = ["/workspace/../etc/**", "/workspace//x", "/workspace/./x", "/workspace/a\0b"]
OTHER_SHAPES = ["/workspace/*.txt", "/workspace/**/x", "/workspace/a?/**", "/workspace/[ab]"]


@pytest.mark.parametrize("pattern", [*ELSEWHERE, *NOT_PLAIN, *OTHER_SHAPES])
def test_what_cannot_be_enforced_is_refused(pattern: str) -> None:
    """Other places, other shapes, and paths that are not plain."""
    with pytest.raises(DeniedError):
        writable([pattern])


@given(st.lists(st.text(alphabet="/workspacetmp.*-", max_size=24)))
def test_places_never_leave_the_workspace(patterns: list[str]) -> None:
    """Whatever patterns are given, what comes back lies in the workspace and holds no dots or wildcards."""
    try:
        places = writable(patterns)
    except DeniedError:
        return
    for place in places:
        assert place.path == "/workspace" or place.path.startswith("/workspace/")
        assert not {"..", "."} & set(place.path.split("/"))
        assert "*" not in place.path
