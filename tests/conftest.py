"""What every test of this repository runs under."""

from __future__ import annotations

import os

from hypothesis import settings

# How long a case takes says nothing on a shared machine: nothing here is timed. CI tries the same cases each time.
settings.register_profile("cordon", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("cordon")

# Whose key commands use, and whom they ask: an operator's own shell has these set, and no test is about his.
for _name in ("CORDON_KEY", "CORDON_BRIDGE"):
    os.environ.pop(_name, None)
