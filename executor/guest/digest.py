"""SHA-256 without OpenSSL: `hashlib` would load four megabytes of library for one algorithm, at every boot."""

from __future__ import annotations

try:
    from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore] # the guest's Python 3.11
except ModuleNotFoundError:  # tests on a newer Python
    from hashlib import sha256

__all__ = ["sha256"]
