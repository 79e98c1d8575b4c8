"""The input's JSON Schema, applied in Python before OPA is asked: fast when all is well, wordy when it is not.

jsonschema-rs validates (tens of microseconds); jsonschema only words the error. Both read the one file that
`opa check --schema` reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from executor.errors import InvalidInputError, PolicyUnavailableError

INPUT_SCHEMA_FILE: Final = Path("schemas/input.schema.json")


class InputSchema:
    """One schema, ready to validate."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises `PolicyUnavailableError` when `schema` is not a JSON Schema."""
        self._schema: Final = dict(schema)
        try:
            self._fast = jsonschema_rs.Draft202012Validator(self._schema)
        except ValueError as error:
            from executor import misfit  # noqa: PLC0415 - see there

            message = misfit.of_schema(schema) or str(error).partition("\n")[0]
            raise PolicyUnavailableError(f"the input schema is not a JSON Schema: {message}") from error

    def validate(self, document: Mapping[str, Any]) -> None:
        """Return when `document` fits; raise `InvalidInputError` naming the field and what would fit."""
        try:
            if self._fast.is_valid(document):
                return
        except (ValueError, OverflowError, TypeError) as error:  # lone surrogates and other things JSON cannot hold
            raise InvalidInputError(f"policy input is not JSON: {error}") from error
        raise InvalidInputError(self._explain(document))

    def _explain(self, document: Mapping[str, Any]) -> str:
        from executor import misfit  # noqa: PLC0415 - see there

        found = misfit.best(self._schema, document)
        if found is None:
            return "policy input does not fit its schema"
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found.absolute_path)
        message = found.message if len(found.message) <= 300 else f"{found.message[:300]}..."  # values may be long
        return f"policy input{place}: {message}"


@lru_cache(maxsize=8)
def _load(path: Path, _stamp: tuple[int, int]) -> InputSchema:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PolicyUnavailableError(f"cannot read the input schema {path}: {error}") from error
    return InputSchema(schema)


def input_schema(policies_dir: Path) -> InputSchema:
    """The schema beside the policies in `policies_dir`; loaded again when the file has changed."""
    path = policies_dir / INPUT_SCHEMA_FILE
    try:
        status = path.stat()
    except OSError as error:
        raise PolicyUnavailableError(f"no input schema at {path}: {error.strerror}") from error
    return _load(path, (status.st_mtime_ns, status.st_ino))
