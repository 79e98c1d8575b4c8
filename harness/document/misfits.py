"""Every mistake of a document that breaks its published schema: at its place, in words, with what would fit.

jsonschema finds them; it takes a fifth of a second to import, so only documents that do not fit lead here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.validators import extend
from referencing import Registry, Resource

from harness import schema
from harness.document.strict_yaml import Document, Path, path_text
from harness.document.validate import suggest
from harness.errors import Problem

_KINDS: Final = {
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "integer": "a whole number",
    "boolean": "true or false",
    "number": "a number",
}


def _is_whole(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Strict: Final[Any] = extend(  # type: ignore[no-untyped-call] # jsonschema gives it no types
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole)
)
"""JSON Schema counts 2.0 among the whole numbers; whoever counts hosts or workers by it gets a float."""


@cache
def _validator(name: str) -> Any:
    """The validator of a published schema; a schema may refer to the others by file name."""
    shared = Resource.from_contents(schema.load(schema.SCENARIO))
    return _Strict(schema.load(name), registry=Registry().with_resource(schema.SCENARIO, shared))


def all_of(document: Document, name: str) -> list[Problem]:
    """Every way in which `document` breaks the schema `name`; empty when it fits after all."""
    found: list[Problem] = []
    for error in _validator(name).iter_errors(document.value):
        found += _reword(error, document)
    return sorted(set(found), key=lambda problem: problem.place)


def kind(value: object) -> str:
    """What a person would call `value`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {_short(value)}"
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"the number {value}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return f"{text[:60]!r}" + ("..." if len(text) > 60 else "")


def _reword(error: Any, document: Document) -> Iterator[Problem]:
    # jsonschema types every part of an error as perhaps unset; of one that was raised they are all set: hence Any.
    path: Path = tuple(error.absolute_path)
    rule, limit, value = error.validator, error.validator_value, error.instance
    if rule == "additionalProperties" and isinstance(value, dict):
        yield from _unknown_fields(error, document, path)
        return
    if rule == "required":
        yield from _missing_fields(error, document, path)
        return
    allowed: tuple[str, ...] = ()
    if rule == "enum":
        allowed = tuple(str(choice) for choice in limit)
        message = f"{_short(value)} is none of the allowed values{suggest(value, allowed)}"
    elif rule == "const":
        allowed = (str(limit),)
        message = f"{_short(value)} is not {limit}"
    elif rule == "type":
        wanted = [limit] if isinstance(limit, str) else limit
        message = f"expected {' or '.join(_KINDS[name] for name in wanted)}, found {kind(value)}"
        if "string" in wanted and not isinstance(value, list | dict):
            message += "; quote it if it is meant as text"
    else:
        message = _bound(str(rule), limit, value)
    yield Problem(document.place_of(path), path_text(path), message, allowed)


def _bound(rule: str, limit: Any, value: Any) -> str:
    """Words for the rules about size and form."""
    words = {
        "pattern": f"{_short(value)} does not have the form {limit}",
        "minLength": "must not be empty" if limit == 1 else f"takes at least {limit} characters",
        "maxLength": f"takes at most {limit} characters",
        "minimum": f"{value} is under {limit}",
        "maximum": f"{value} is over {limit}",
        "minItems": "must not be an empty list" if limit == 1 else f"takes at least {limit} entries",
        "maxItems": f"takes at most {limit} entries",
        "uniqueItems": "holds an entry twice",
        "exclusiveMinimum": f"{value} is not over {limit}",
        "minProperties": "must not be empty",
        "maxProperties": f"takes {limit} of its fields, not several",
    }
    return words.get(rule, f"does not fit the rule {rule}")


def _properties(error: Any) -> tuple[str, ...]:
    """The field names the schema knows at the place of `error`."""
    where = error.schema
    return tuple(where.get("properties", ())) if isinstance(where, dict) else ()


def _unknown_fields(error: Any, document: Document, path: Path) -> Iterator[Problem]:
    known = _properties(error)
    for name in error.instance:
        if name not in known:
            where = (*path, name)
            text = f"unknown field{suggest(name, known)}"
            yield Problem(document.keys[where], path_text(where), text, known)


def _missing_fields(error: Any, document: Document, path: Path) -> Iterator[Problem]:
    for name in error.validator_value:
        if name not in error.instance:
            reason = "is required"
            if path in {(), ("controls",)} and name in {"controls", "positive", "twin"}:
                reason = "is required of a break-out attempt: without it a refusal proves nothing"
            yield Problem(document.place_of(path), path_text((*path, name)), reason)
