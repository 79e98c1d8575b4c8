"""Is the policies' data as it should be? Its shape by a JSON Schema, its names by each other; mistakes have places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import jsonschema

from executor.errors import OutsideError
from harness.document.strict_yaml import Document, Path, path_text
from harness.gate.source import PolicySource

DATA_SCHEMA: Final = "schemas/data/data.schema.json"


def data_problems(source: PolicySource) -> list[str]:
    """One line `file:line:column: field: what` for each mistake; empty when there is none."""
    try:
        schema = json.loads((source.root / DATA_SCHEMA).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutsideError(f"cannot read {source.root / DATA_SCHEMA}: {error}") from error
    found = []
    for name, document in source.judged_data().items():
        concern = name.split("/")[-2]
        if concern not in schema["properties"]:
            found.append(
                f"{document.place}: the concern {concern} is not in {DATA_SCHEMA}: say there what its data holds"
            )
            continue
        found.extend(_shape(document, schema["properties"][concern]))
    return found or list(_names(source))


def _shape(document: Document, schema: dict[str, Any]) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(document.value):
        path: Path = tuple(error.absolute_path)
        field = f"{path_text(path)}: " if path else ""
        yield f"{document.place_of(path)}: {field}{error.message}"


def _names(source: PolicySource) -> Iterator[str]:
    """Capability tokens, groups of programs and roles that are used but not defined."""
    documents = {name.split("/")[-2]: document for name, document in source.judged_data().items()}
    if not {"matrix", "commands"} <= documents.keys():
        return
    tokens = documents["matrix"].value["capabilities"]
    groups = documents["commands"].value["groups"]
    for concern, path, token in _tokens(documents):
        if token not in tokens:
            place = documents[concern].place_of(path)
            yield f"{place}: {path_text(path)}: {token} is no capability of matrix/data.yaml ({', '.join(tokens)})"
    for path, row in _rows(documents["matrix"].value["rows"]):
        for number, group in enumerate(row["programs"]):
            if group not in groups:
                place = documents["matrix"].place_of((*path, "programs", number))
                yield f"{place}: {group} is no group of commands/data.yaml ({', '.join(groups)})"


def _tokens(documents: dict[str, Document]) -> Iterator[tuple[str, Path, str]]:
    for path, row in _rows(documents["matrix"].value["rows"]):
        for number, token in enumerate(row["capabilities"]):
            yield "matrix", (*path, "capabilities", number), token
    for name, group in documents["commands"].value["groups"].items():
        yield "commands", ("groups", name, "capability"), group["capability"]
    for concern, key in (("limits", "lifts"), ("paths", "allowlist_with"), ("scope", "writable_with")):
        if concern in documents:
            for token in documents[concern].value[key]:
                yield concern, (key, token), token


def _rows(rows: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for actor, personas in rows.items():
        for persona, phases in personas.items():
            for phase, row in phases.items():
                yield ("rows", actor, persona, phase), row
