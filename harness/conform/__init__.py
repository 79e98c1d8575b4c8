"""Conformance: the same scenarios on the simulator and on real machines, compared (docs/guides/simulate.md)."""

from typing import Final

MODELLED_BAR: Final = 90
"""Percent of the whole suite's scenarios that the simulator has to have an answer to."""
