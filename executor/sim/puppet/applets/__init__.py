"""Coreutils and their like as far as scenarios use them; an option that is not here is Unmodelled, never ignored."""

from applets import (
    copying,
    encoding,
    facts,
    files,
    filters,
    judging,
    languages,
    listing,
    output,
    owners,
    patching,
    streams,
    text,
    wrappers,
)
from applets.conditions import Wrong, truth
from applets.registry import PROGRAMS, content, find_program, put

FAMILIES = (
    copying, encoding, facts, files, filters, judging, languages, listing, output, owners, patching, streams, text, wrappers,
)  # fmt: skip
"""Imported for what they register."""
