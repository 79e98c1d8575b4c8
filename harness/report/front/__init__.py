"""The report's front page: what a reviewer sees first, static and without foreign text unescaped (docs/adr/0019)."""

from __future__ import annotations

from harness.report.front.material import Material, read
from harness.report.front.page import render
from harness.report.front.weave import mended, pages, weave

__all__ = ["Material", "mended", "pages", "read", "render", "weave"]
