"""The gold image's recipe and the digest of its inputs."""

from pathlib import Path

import google.protobuf
import pytest

from executor.errors import InvalidInputError
from executor.image import recipe


def test_the_recipe_of_this_checkout_parses() -> None:
    """The recipe that is shipped is one the builder understands, with the host's own protobuf release."""
    plan = recipe.load_recipe()
    assert plan.protobuf_version == google.protobuf.__version__
    assert plan.boot_modules.index("virtio_ring") < plan.boot_modules.index("virtio")
    assert "panic=-1" in plan.cmdline.split()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('schema = "cordon.gold_image/1"', 'schema = "x"', "schema is 'x'"),
        ('suite = "bookworm"', "suite = 7", "debian.suite is 7, expected str"),
        ("size_mib = 2048", 'size_mib = "2"', "workspace.size_mib is '2', expected int"),
        ('keep = ["boot/config-*"]', "keep = [1]", "tree.keep holds something that is no string"),
        ('keep = ["boot/config-*"]', "keep = [", "r.toml:"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_field_named(before: str, after: str, said: str) -> None:
    """One changed field makes the recipe invalid, and the message names that field."""
    text = (recipe.RECIPE_DIR / "recipe.toml").read_text()
    assert before in text
    with pytest.raises(InvalidInputError, match=said.replace("[", r"\[")):
        recipe.parse_recipe(text.replace(before, after), where="r.toml")


def test_every_input_changes_the_digest(tmp_path: Path) -> None:
    """Content, name and presence of each input file count in the digest."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a")
    two.write_text("b")
    first = recipe.input_digest([one, two])
    assert recipe.input_digest([one, two]) == first
    two.write_text("c")
    digests = {first, recipe.input_digest([one, two]), recipe.input_digest([one]), recipe.input_digest([two, one])}
    assert len(digests) == 4


def test_what_decides_the_image_is_an_input() -> None:
    """Recipe, C sources, hook, capability map and builder are all among the inputs."""
    names = {path.name for path in recipe.input_files()}
    assert {"recipe.toml", "init.c", "launch.c", "customize.sh", "capability_map.json", "build.py", "tree.py"} <= names
