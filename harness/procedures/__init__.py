"""Drills that are no single request: each is a Python function that acts on a `Stage` and says what it observed.

A `cordon.procedure/1` document names one, gives it arguments, and says which facts and events must come of it. To add
one: a function in a module here, decorated with `procedure`; its first parameter is the stage, the others are what a
document may set below `arguments`. It returns every fact it looked at; an attempt to break out also says `refusal`.

Modules here are imported when scenarios are collected, so they import libvirt (through `executor.domain`,
`executor.service`) only inside functions: collection works on a host without a hypervisor.
"""

from harness.procedures.registry import Registered, find, names, procedure
from harness.procedures.stage import Stage

__all__ = ["Registered", "Stage", "find", "names", "procedure"]
