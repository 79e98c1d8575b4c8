"""SVF, the audit trail: hash-chained events, durable before they are acknowledged, verifiable afterwards."""

from executor.svf.catalogue import TYPES, EventType, event_type
from executor.svf.event import Event
from executor.svf.log import SvfLog
from executor.svf.read import guest_text, read
from executor.svf.verify import Summary, verify

__all__ = ["TYPES", "Event", "EventType", "Summary", "SvfLog", "event_type", "guest_text", "read", "verify"]
