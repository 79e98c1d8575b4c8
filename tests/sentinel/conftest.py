"""One scanner process for all tests of the reviews: it takes seconds to load and keeps nothing between documents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from executor.sentinel.patterns import Pattern, PatternRules
from executor.sentinel.review import Sentinel
from executor.sentinel.scanner import KingfisherScanner

PIPE = Pattern("pipe_to_shell", r"(?i)\b(?:curl|wget)\b[^\n|]*\|\s*(?:ba)?sh\b", "a download is piped into a shell")
SUDO = Pattern("sudo", r"^[ \t]*sudo\s", "asks for root", ("commands", "files"))


@pytest.fixture(scope="session")
def scanner() -> Iterator[KingfisherScanner]:
    child = KingfisherScanner()
    yield child
    child.close()


@pytest.fixture
def sentinel(scanner: KingfisherScanner) -> Sentinel:
    return Sentinel(patterns=PatternRules((PIPE, SUDO), frozenset({("drill", "staging")})), scanner=scanner)
