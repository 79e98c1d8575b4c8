"""Loads generated protobuf code on upb, protobuf's C core, without protobuf's Python layer.

`import google.protobuf.descriptor_pool` pulls in some 60 modules (text format, well-known types, the pure Python
implementation even when it is not used): two seconds of a guest's boot under emulation. Generated code needs five
names of it. They are put in place here as thin modules over upb, which does all parsing and serialising either way.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def install() -> None:
    """Put the five modules in place; call once, before generated code is imported. Needs `google` on the path."""
    import google.protobuf  # noqa: PLC0415 - the package's own __init__ is tiny, and the path is set by now
    from google._upb import _message  # noqa: PLC0415 - C module without stubs
    from google.protobuf.message import Message  # noqa: PLC0415

    version = tuple(int(part) for part in google.protobuf.__version__.split(".")[:3])

    def validate(_domain: Any, major: int, minor: int, patch: int, _suffix: str, source: str) -> None:
        """Generated code runs on its own release or a later one of the same major."""
        if version[0] != major or version < (major, minor, patch):
            raise RuntimeError(f"{source} was generated for protobuf {major}.{minor}.{patch}, this is {version}")

    def build_top(file: Any, module_name: str, module: dict[str, Any]) -> None:
        for name, message in file.message_types_by_name.items():
            names = {"DESCRIPTOR": message, "__module__": module_name, "__qualname__": name}
            module[name] = _message.MessageMeta(name, (Message,), names)

    pool = _message.default_pool if hasattr(_message, "default_pool") else _message.DescriptorPool()
    _place("descriptor", _USE_C_DESCRIPTORS=True)
    _place("descriptor_pool", Default=lambda: pool)
    _place("symbol_database", Default=lambda: None)
    _place("runtime_version", Domain=ModuleType("Domain"), ValidateProtobufRuntimeVersion=validate)
    sys.modules["google.protobuf.runtime_version"].Domain.PUBLIC = 0
    # upb asks for these when it makes a class; this protocol uses none of the well-known types.
    _place("internal.well_known_types", WKTBASES={})
    _place("internal.builder", BuildMessageAndEnumDescriptors=lambda *_: None, BuildTopDescriptorsAndMessages=build_top)


def _place(name: str, **names: Any) -> None:
    module = ModuleType(f"google.protobuf.{name}")
    vars(module).update(names)
    sys.modules[module.__name__] = module
    parent, _, leaf = module.__name__.rpartition(".")
    __import__(parent)
    setattr(sys.modules[parent], leaf, module)
