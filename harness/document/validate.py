"""A document against the published schema: a quick yes, or every mistake at its place (misfits.py)."""

from __future__ import annotations

import difflib
from functools import cache
from typing import Any

import jsonschema_rs

from harness import schema
from harness.document.strict_yaml import Document, walk
from harness.errors import Problem


@cache
def _validator(name: str) -> Any:
    """The quick validator of a published schema; a schema may refer to the others by file name."""
    shared = jsonschema_rs.Registry([(schema.SCENARIO, schema.load(schema.SCENARIO))])
    return jsonschema_rs.Draft202012Validator(schema.load(name), registry=shared)


def _fits(document: Document, name: str) -> bool:
    """Whether it fits beyond doubt: JSON Schema counts 2.0 among the whole numbers, the schemas here do not mean it."""
    try:
        fits: bool = _validator(name).is_valid(document.value)
    except (ValueError, OverflowError):  # what JSON cannot hold: a lone surrogate, a number of a hundred digits
        return False
    return fits and not any(isinstance(value, float) and value.is_integer() for _, value in walk(document.value))


def _schema_of(value: Any) -> str:
    """The schema a document is judged by: by its own word, and for one without a known word that of scenarios."""
    said = value.get("schema") if isinstance(value, dict) else None
    others = (schema.BREAKOUTS, schema.PROCEDURE)
    fitting = (name for name in others if schema.load(name)["properties"]["schema"]["const"] == said)
    return next(fitting, schema.SCENARIO)


def problems(document: Document, name: str = "") -> list[Problem]:
    """Every way in which `document` breaks the schema `name`, or the one it says it follows; empty when it fits."""
    name = name or _schema_of(document.value)
    if _fits(document, name):
        return []
    from harness.document import misfits  # noqa: PLC0415 - see there

    return misfits.all_of(document, name)


def suggest(word: object, known: tuple[str, ...]) -> str:
    """`; did you mean x?` when `word` is close to one of `known`, else nothing."""
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
