"""docs/threat-model.md: its table of controls, written from the sources (`--check`: is it current?).

The prose is a person's. The table links every control with the drills that notice when it is gone and with its
sabotage case; a test checks that nothing is missing and that every link leads somewhere.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from harness.sabotage.cases import Case, candidates, group, load
from harness.sabotage.matrix import controls

TARGET: Final = Path("docs/threat-model.md")
BEGIN: Final = "<!-- The table below is written by `python -m harness.reference.threat_model`. -->"
END: Final = "<!-- The end of what is written. -->"
SHOWN: Final = 3
"""Drills named for one control; `cordon drills sabotage --all` runs every one."""
ROW: Final = re.compile(
    r"^\| `([a-z_]+)` \| (\w+) \| (.*) \| (.*) \| `cordon drills sabotage --control ([a-z_]+)` \|$", re.MULTILINE
)
LINK: Final = re.compile(r"\[([a-z0-9-]+)\]\(\.\./([^)]+)\)")


def table(scenarios: Path) -> str:
    """The table."""
    return "\n".join(_rows(group(load(scenarios), "any engine")))


def _rows(cases: Sequence[Case]) -> Iterator[str]:
    yield "| control | where | without it | drills that notice | sabotage case |"
    yield "|---|---|---|---|---|"
    for name, (where, what) in controls().items():
        fitting = candidates(name, cases)[:SHOWN]
        links = ", ".join(f"[{case.name}](../{case.first.place.file})" for case in fitting)
        told = links or ("bait" if where == "harness" else "none")
        yield f"| `{name}` | {where} | {what} | {told} | `cordon drills sabotage --control {name}` |"


def rendered(text: str, scenarios: Path) -> str:
    """The document `text` with its table written anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{table(scenarios)}\n\n{END}{tail}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description="Write the table of controls.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; 1 when the table is not as the sources say"
    )
    options = parser.parse_args(arguments)
    text = TARGET.read_text(encoding="utf-8")
    fresh = rendered(text, Path("scenarios"))
    if options.check:
        return int(fresh != text)
    TARGET.write_text(fresh, encoding="utf-8")
    sys.stdout.write(f"{TARGET}: written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
