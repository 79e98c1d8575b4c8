"""Sabotage: every control is taken away once, and some scenario must turn red (issue 6, line 4; docs/adr/0018)."""

from __future__ import annotations

from harness.sabotage.guards import GUARDS
from harness.sabotage.matrix import Matrix, controls
from harness.sabotage.suite import sweep_suite

__all__ = ["GUARDS", "Matrix", "controls", "sweep_suite"]
