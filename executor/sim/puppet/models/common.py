"""What models of modules have in common."""

import types

from shim import Unmodelled


def constants(of, name):
    """A module with the numbers, and nothing else, of a real one."""
    made = types.ModuleType(name)
    for key in dir(of):
        if isinstance(getattr(of, key), int) and not isinstance(getattr(of, key), type):
            setattr(made, key, getattr(of, key))
    return made


def missing(module, name, *functions):
    """Functions that the model does not have: using one says so."""
    for function in functions:

        def refuse(*_a, _f=function, **_k):
            raise Unmodelled(f"{name}.{_f}")

        if not hasattr(module, function):
            setattr(module, function, refuse)


def number(handle):
    return handle if isinstance(handle, int) else handle.fileno()
