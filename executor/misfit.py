"""Why a document does not fit its JSON Schema, in words: jsonschema's, better than the fast validator's.

jsonschema takes as long to import as a hundred decisions; the fast validator says for nearly every document that all
is well. So whoever validates asks here only when it is not, and imports this module only then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema


def best(schema: Mapping[str, Any], document: Any) -> jsonschema.ValidationError | None:
    """The mistake that says most of what is wrong with `document`; None when it fits."""
    found: jsonschema.ValidationError | None = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema).iter_errors(document)
    )
    return found


def of_schema(schema: Mapping[str, Any]) -> str:
    """Why `schema` is no JSON Schema of 2020-12 itself; empty when it is one."""
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return error.message
    return ""
