"""Cordon's command line. The work is done in `executor` and `harness`; here it is asked for and shown."""

from typing import Final

VERSION: Final = "0.1.0"
"""As in pyproject.toml (a test compares the two)."""

__all__ = ["VERSION"]
