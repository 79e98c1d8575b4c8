"""The report's front page: what a reviewer sees first, static and without foreign text unescaped (docs/adr/0019)."""

from __future__ import annotations

from harness.front.material import Material, read
from harness.front.page import render
from harness.front.weave import mended, pages, weave

__all__ = ["Material", "mended", "pages", "read", "render", "weave"]
