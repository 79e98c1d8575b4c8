"""The simulator: the machine of engine `sim`. All else is the real one (docs/adr/0016)."""

from executor.sim.provider import SimProvider, open_machines

__all__ = ["SimProvider", "open_machines"]
