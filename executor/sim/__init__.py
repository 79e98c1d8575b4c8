"""The simulator: the machine of engine `sim`. Policy, lease, queue, audit and pipeline are the real ones (docs/adr/0016)."""

from executor.sim.provider import SimProvider, open_machines

__all__ = ["SimProvider", "open_machines"]
