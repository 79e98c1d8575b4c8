"""Class V from the host: the QEMU process of a sandbox VM, held against the allowlist section by section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from executor.paths import runtime_dir
from harness.judgement.facts import Facts
from harness.procedures.orphans import NEEDS_QEMU
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

if TYPE_CHECKING:
    from executor.pool.machine import VmMachine

ITEMS: Final = 40
"""Entries of a finding that are told."""


@procedure(unsimulated=NEEDS_QEMU)
def qemu_confined(stage: Stage, *, section: str, answers: bool = False) -> Facts:
    """Compares one section of the allowlist with a live QEMU; `answers: true` only asks whether its guest works."""
    seen = stage.kept.once(f"qemu {sorted(stage.weaken)}", lambda: _looked(stage))
    if answers:
        return {"refusal": "", "missing": [], "unexpected": [], "guest_answers": seen["guest_answers"]}
    missing, unexpected = seen["sections"].get(section, ([], []))
    clean = not missing and not unexpected
    return {
        "refusal": f"absence {section} beyond the allowlist" if clean else "",
        "missing": missing,
        "unexpected": unexpected,
        "guest_answers": seen["guest_answers"],
    }


def _looked(stage: Stage) -> dict[str, Any]:
    """One machine, looked at once for all sections."""
    from executor.domain import confinement  # noqa: PLC0415 - libvirt only where machines are
    from executor.domain.rundir import process_root  # noqa: PLC0415 - as above

    machine: VmMachine = stage.machine()
    booted = machine.vm.settings.surplus or machine.vm.settings.exposed
    wanted = confinement.expected(machine.vm, run=process_root(runtime_dir()), booted=booted)
    found = confinement.differences(wanted, confinement.observed(machine.vm))
    machine.session.ping(7)
    names = confinement.placeholders(machine.vm, process_root(runtime_dir())) | {"vm": machine.name}
    return {
        "sections": {one.section: (_named(one.missing, names), _named(one.unexpected, names)) for one in found},
        "guest_answers": True,
    }


def _named(texts: tuple[str, ...], names: Mapping[str, str]) -> list[str]:
    """With the machine's own paths by name, so that a document can speak of them."""
    paths = {path: name for name, path in names.items() if path.startswith(("/", "vm-"))}
    found = []
    for text in texts[:ITEMS]:
        for path in sorted(paths, key=len, reverse=True):
            text = text.replace(path, f"{{{paths[path]}}}")  # noqa: PLW2901 - the same text, step by step
        found.append(text)
    return found
