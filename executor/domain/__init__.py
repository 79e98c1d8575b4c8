"""Virtual machines: libvirt domains over overlays of the gold image, and the engine that runs them."""

from executor.domain.engine import choose_engine
from executor.domain.host import VmHost
from executor.domain.vm import Vm

__all__ = ["Vm", "VmHost", "choose_engine"]
