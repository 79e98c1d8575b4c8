"""The gold image's recipe, parsed at the door, and the digest of everything that decides what the image becomes."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from executor.errors import InvalidInputError

PROJECT: Final = Path(__file__).resolve().parents[2]
RECIPE_DIR: Final = PROJECT / "fixtures" / "gold_image"
CAPABILITY_MAP: Final = PROJECT / "executor" / "guest" / "capability_map.json"
ORACLE: Final = PROJECT / "executor" / "oracle" / "physics.py"
"""The physics oracle's judge, which runs in the guest and asks its questions on the host: one file for both."""
BUILDER: Final = tuple(
    Path(__file__).with_name(name) for name in ("build.py", "root_tar.py", "tree.py", "initramfs.py", "disk.py")
)
SCHEMA: Final = "cordon.gold_image/1"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `recipe.toml` says; see the comments there."""

    suite: str
    variant: str
    components: tuple[str, ...]
    packages: tuple[str, ...]
    source_date_epoch: int
    protobuf_version: str
    protobuf_sha256: str
    boot_modules: tuple[str, ...]
    late_modules: tuple[str, ...]
    cmdline: str
    workspace_mib: int
    workspace_uuid: str
    workspace_hash_seed: str
    drop: tuple[str, ...]
    keep: tuple[str, ...]


def parse_recipe(text: str, *, where: str = "recipe.toml") -> Recipe:
    """The recipe in `text`; raises `InvalidInputError` naming the field."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{where}: {error}") from None
    if raw.get("schema") != SCHEMA:
        raise InvalidInputError(f"{where}: schema is {raw.get('schema')!r}, expected {SCHEMA!r}")

    def get(section: str, field: str, kind: type) -> Any:
        value = raw.get(section, {}).get(field)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InvalidInputError(f"{where}: {section}.{field} is {value!r}, expected {kind.__name__}")
        return value

    def strings(section: str, field: str) -> tuple[str, ...]:
        value: Sequence[object] = get(section, field, list)
        if not all(isinstance(item, str) for item in value):
            raise InvalidInputError(f"{where}: {section}.{field} holds something that is no string")
        return tuple(str(item) for item in value)

    return Recipe(
        suite=get("debian", "suite", str),
        variant=get("debian", "variant", str),
        components=strings("debian", "components"),
        packages=strings("debian", "packages"),
        source_date_epoch=get("time", "source_date_epoch", int),
        protobuf_version=get("protobuf", "version", str),
        protobuf_sha256=get("protobuf", "sha256", str),
        boot_modules=strings("kernel", "boot_modules"),
        late_modules=strings("kernel", "late_modules"),
        cmdline=" ".join(strings("kernel", "cmdline")),
        workspace_mib=get("workspace", "size_mib", int),
        workspace_uuid=get("workspace", "uuid", str),
        workspace_hash_seed=get("workspace", "hash_seed", str),
        drop=strings("tree", "drop"),
        keep=strings("tree", "keep"),
    )


def load_recipe() -> Recipe:
    """The recipe of this checkout."""
    path = RECIPE_DIR / "recipe.toml"
    return parse_recipe(path.read_text(encoding="utf-8"), where=str(path))


def input_files() -> tuple[Path, ...]:
    """Every file that decides what the image becomes, in a fixed order."""
    recipe = sorted(path for path in RECIPE_DIR.iterdir() if path.is_file())
    return (*recipe, CAPABILITY_MAP, ORACLE, *BUILDER)


def input_digest(files: Sequence[Path]) -> str:
    """Hex SHA-256 over the names and contents of `files`."""
    total = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.name}\0{content}\n".encode())
    return total.hexdigest()
