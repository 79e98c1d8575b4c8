"""The quick look at a mutant: one question to OPA, which stops at the first test that fails.

`opa test` runs every test to its end and cannot take two mutants at once. Here the tests of a directory are asked by
one rule more, cheapest first, through `opa eval`. Mutants of one data file share a process, each as a value in place of
the file's (`with data.a.b as ...`), so that what is compiled is compiled once.

A quick look kills or it says nothing: that all tests passed, that something went wrong, and that a mutant does not
compile is for `opa test` to say. It asks only tests that are plain rules, which pass where they are neither undefined
nor false, as `opa test` judges them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.mutate.data_ops import same_value
from harness.mutate.yaml_places import read
from harness.policydir import OpaTool

DEADLINE_S: Final = 60
"""One look; ours take a quarter of a second, batches a few."""
DRIVER: Final = "cordon_mutate_driver"
BATCH: Final = "cordon_mutate_batch"
GARBAGE: Final = "400"
"""For batches, in percent: a process that looks at many mutants must not keep all that it ever allocated."""


@dataclass(frozen=True, slots=True)
class Swap:
    """A mutant of a data file as OPA sees it: one value in place of another."""

    path: tuple[str, ...]
    value: Any


Look = str | None
"""The test that failed; empty when none did; None when OPA could not tell."""


@dataclass(frozen=True, slots=True)
class QuickLook:
    """A directory with the files of some tests, and the rule that asks them."""

    opa: OpaTool
    folder: Path
    tests: tuple[str, ...]
    """Dotted names, in the order they are asked in."""

    def __post_init__(self) -> None:
        (self.folder / f"{DRIVER}.rego").write_text(_driver(self.tests), "utf-8")
        self._write_batch("")

    def look(self) -> Look:
        """The first test that fails with the files as they are."""
        found = self._ask(f"data.{DRIVER}", "off")
        return None if found is None else found.get("first", "")

    def look_at_each(self, swaps: Sequence[Swap]) -> list[Look]:
        """As `look`, with each of `swaps` alone in place of what it replaces."""
        rules = [
            f"verdicts contains [{number}, name] if {{\n\tname := data.{DRIVER}.first with data{_ref(swap.path)} as "
            f"{json.dumps(swap.value, ensure_ascii=False)}\n}}\n"
            for number, swap in enumerate(swaps)
        ]
        self._write_batch("\n".join(rules))
        try:
            found = self._ask(f"data.{BATCH}", GARBAGE)
        finally:
            self._write_batch("")
        if found is None:
            return [None] * len(swaps)
        names: dict[int, str] = dict(found.get("verdicts", []))
        return [names.get(number, "") for number in range(len(swaps))]

    def _write_batch(self, rules: str) -> None:
        (self.folder / f"{BATCH}.rego").write_text(f"package {BATCH}\n\n{rules}", "utf-8")

    def _ask(self, query: str, garbage: str) -> dict[str, Any] | None:
        """The value of a package; None when there was an error of any kind."""
        args = ["eval", "--bundle", ".", "--format", "json", query]
        done = self.opa.run(args, cwd=self.folder, deadline_s=DEADLINE_S, quiet=True, garbage=garbage)
        if done.timed_out or done.code != 0:
            return None
        value: dict[str, Any] = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
        return value


def swap_of(scope: tuple[str, ...], before: str, after: str) -> Swap | None:
    """The one field of a data file that differs between two texts of it.

    None when that is more than one field, or one that is gone: `with` can put a value in place, and take none away.
    """
    old, new = read(before), read(after)
    if not isinstance(old, dict) or not isinstance(new, dict) or old.keys() != new.keys():
        return None
    differing = [key for key in old if not same_value(old[key], new[key])]
    if len(differing) != 1 or not isinstance(differing[0], str) or not _is_json(new[differing[0]]):
        return None
    return Swap((*scope, differing[0]), new[differing[0]])


def _is_json(value: Any) -> bool:
    """Whether the value is one that JSON has, so that OPA reads it as it would read it from the file."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, bool | int | str)


def _driver(tests: Sequence[str]) -> str:
    parts = [f'"{name}" if {{\n\tnot data{_ref(tuple(name.split(".")))}\n}}' for name in tests]
    return f"package {DRIVER}\n\nfirst := " + " else := ".join(parts) + "\n"


def _ref(path: tuple[str, ...]) -> str:
    return "".join(f"[{json.dumps(part)}]" for part in path)
