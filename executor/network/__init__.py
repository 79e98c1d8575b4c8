"""The machines' network: namespaces, bridges, packet filter, names; for machines with `net:egress` (docs/adr/0023)."""

from executor.network.namespace import Namespace
from executor.network.plan import Allowed, Card, Endpoint, Reach
from executor.network.plane import CONTROLS, Network, NetworkConfig

__all__ = ["CONTROLS", "Allowed", "Card", "Endpoint", "Namespace", "Network", "NetworkConfig", "Reach"]
