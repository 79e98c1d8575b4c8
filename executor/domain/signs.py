"""What QEMU and libvirt have said of machines that are in use: kept from their events, for `fate.py` to judge."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import libvirt

from executor.fate import Sign

Verdict = TypeVar("Verdict")
_EVENTS: Final = ("SHUTDOWN", "BLOCK_IO_ERROR")
"""Events of QEMU's monitor that are listened to; the first names what the guest did, which libvirt does not pass on."""


class Signs:
    """Signs by the machine's name. Of machines that are not watched nothing is kept. Thread-safe."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._said: dict[str, tuple[Sign, ...]] = {}
        self._changed = threading.Condition()
        self._registered: list[int] = []
        self._lifecycle = -1

    def listen(self, connection: libvirt.virConnect) -> None:
        """Take in what `connection` tells. Needs libvirt's event loop; raises `libvirt.libvirtError`."""
        import libvirt_qemu  # noqa: PLC0415 - as in hypervisor.py: after libvirt has read its environment

        lifecycle = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
        self._lifecycle = connection.domainEventRegisterAny(None, lifecycle, self._on_lifecycle, None)
        for event in _EVENTS:
            number = libvirt_qemu.qemuMonitorEventRegister(connection, None, event, self._on_monitor, None, 0)
            self._registered.append(number)

    def stop(self, connection: libvirt.virConnect) -> None:
        """Listen no more; a connection that is gone is fine."""
        import libvirt_qemu  # noqa: PLC0415 - as in `listen`

        with contextlib.suppress(libvirt.libvirtError):
            for number in self._registered:
                libvirt_qemu.qemuMonitorEventDeregister(connection, number)
            if self._lifecycle >= 0:
                connection.domainEventDeregisterAny(self._lifecycle)
        self._registered.clear()
        self._lifecycle = -1

    def watch(self, name: str) -> None:
        """From now on keep what is said of machine `name`."""
        with self._changed:
            self._said.setdefault(name, ())

    def forget(self, name: str) -> None:
        """Whoever watched `name` has no use for it any more."""
        with self._changed:
            self._said.pop(name, None)
            self._changed.notify_all()

    def note(self, name: str, sign: Sign) -> None:
        """`sign` was seen of machine `name`; each is kept once."""
        with self._changed:
            said = self._said.get(name)
            if said is not None and sign not in said:
                self._said[name] = (*said, sign)
                self._changed.notify_all()

    def of(self, name: str) -> tuple[Sign, ...]:
        """What was said so far."""
        with self._changed:
            return self._said.get(name, ())

    def wait(self, name: str, judge: Callable[[tuple[Sign, ...]], Verdict | None], seconds: float) -> Verdict | None:
        """What `judge` makes of the signs, as soon as it makes something of them; None after `seconds`."""
        with self._changed:
            found: Verdict | None = None

            def decided() -> bool:
                nonlocal found
                found = judge(self._said.get(name, ()))
                return found is not None or name not in self._said

            self._changed.wait_for(decided, seconds)
            return found

    # libvirt calls these two on its event loop's thread; a sign is a word and a lock, nothing waits here.

    def _on_monitor(
        self, _connection: Any, domain: Any, event: str, _seconds: int, _micros: int, details: str | None, _opaque: Any
    ) -> None:
        with contextlib.suppress(ValueError, AttributeError, libvirt.libvirtError):
            facts = json.loads(details or "{}")
            if event == "BLOCK_IO_ERROR":
                if facts.get("nospace"):
                    self.note(domain.name(), "no space")
            elif facts.get("reason") == "guest-reset":
                self.note(domain.name(), "guest-reset")
            elif facts.get("reason") == "guest-shutdown":
                self.note(domain.name(), "guest-shutdown")

    def _on_lifecycle(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        if event != libvirt.VIR_DOMAIN_EVENT_STOPPED:
            return
        with contextlib.suppress(libvirt.libvirtError):
            if detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
                self.note(domain.name(), "destroyed")
            self.note(domain.name(), "ended")
