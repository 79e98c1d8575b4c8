"""YAML files of our own as plain data, quickly: by libyaml where PyYAML was built with it, ten times as fast.

Both of PyYAML's parsers read the same YAML into the same values, but word their objections differently. Whoever
mends a file gets the words of the Python one, which name what was expected and quote the line.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

_QUICK: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str | bytes) -> Any:
    """The one document in `text`: mappings, lists and scalars; raises `yaml.YAMLError`."""
    try:
        return yaml.load(text, Loader=_QUICK)  # noqa: S506 - both are the safe loader
    except yaml.YAMLError:
        return yaml.safe_load(text)
