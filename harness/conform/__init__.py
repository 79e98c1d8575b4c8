"""Conformance: the same scenarios on the simulator and on real machines, compared (docs/guides/simulate.md)."""
