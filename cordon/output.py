"""Files a command is asked to write: whole or not at all, and a place that cannot be written is one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from executor.errors import InvalidInputError


@contextmanager
def written(path: Path) -> Iterator[TextIO]:
    """A stream whose text becomes `path` when the block ends, and leaves nothing when it fails or is interrupted.

    A device or a pipe (/dev/stdout) is written as it is. Raises `InvalidInputError` when it cannot be written.
    """
    plain = path.is_file() or not path.exists()
    part = path.with_name(f".{path.name}.{os.getpid()}") if plain else path
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        if plain:
            part.replace(path)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if plain:
            part.unlink(missing_ok=True)
