"""The table of calls once every family, which is every module of this package, has registered its own in it."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from executor.sim.calls.table import ENTRIES, RAW

__all__ = ["ENTRIES", "RAW"]

for _family in pkgutil.iter_modules([str(Path(__file__).parent)]):
    if _family.name != Path(__file__).stem:
        importlib.import_module(f"{__package__}.{_family.name}")
