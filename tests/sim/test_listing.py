"""The simulator's image is the one the recipe builds."""

from __future__ import annotations

from executor.image import listing, recipe
from executor.sim.files import rootfs


def test_the_listing_is_of_the_image_that_is_built() -> None:
    """A changed recipe asks for a new one: `python -m executor.image.listing > executor/sim/files/image_files.txt`."""
    first = rootfs.LISTING.read_text(encoding="utf-8").split("\n", 1)[0]
    assert first == f"{listing.RECIPE}{recipe.input_digest(recipe.input_files())}"


def test_no_program_of_the_image_gives_its_owners_rights() -> None:
    """Nothing in the image is set-user-id or set-group-id."""
    assert [path for mode, _, _, path, _ in rootfs.listing() if mode & 0o170000 == 0o100000 and mode & 0o6000] == []
