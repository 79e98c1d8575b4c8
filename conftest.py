"""Root of every pytest run in this repository: loads the drills' plugin also where the project is not installed."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

_INSTALLED: Final = any(entry.value == "harness.plugin" for entry in entry_points(group="pytest11"))
"""As an installed entry point pytest has loaded it already, under another name; twice is an error."""

pytest_plugins = ["pytester", "fixtures.ladder", *([] if _INSTALLED else ["harness.plugin"])]
