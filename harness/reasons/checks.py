"""Every check a policy directory makes, from its annotations: code, title, remedy, and the line of the rule."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from executor.errors import PolicyUnavailableError
from harness.policydir import OpaTool

INSPECT_DEADLINE_S: Final = 30
"""Measured: 0.1 s."""
DENY: Final = "deny"


@dataclass(frozen=True, slots=True)
class Check:
    """One denial a package can make, and where it is written; `place` is `file:line` below the policy directory."""

    code: str
    title: str
    remedy: str
    place: str


@dataclass(frozen=True, slots=True)
class Concern:
    """One package of checks."""

    name: str
    title: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a policy directory can say."""

    concerns: tuple[Concern, ...]
    rules: dict[str, str]
    """Place by rule path, for rules that have annotations: `cordon.allow` -> `cordon/decision.rego:38`."""


def read_catalogue(policies: Path, opa: OpaTool) -> Catalogue:
    """The catalogue of `policies`; raises `PolicyUnavailableError` when OPA cannot read them."""
    root = policies.resolve()
    done = opa.run(["inspect", "--annotations", "--format", "json", "."], cwd=root, deadline_s=INSPECT_DEADLINE_S)
    if done.code != 0:
        words = (done.stderr or done.stdout.decode(errors="replace")).strip()
        raise PolicyUnavailableError(f"OPA cannot read the policies in {policies}: {words[:400]}")
    titles: dict[str, str] = {}
    checks: dict[str, list[Check]] = {}
    rules: dict[str, str] = {}
    for entry in json.loads(done.stdout).get("annotations") or []:
        path = [str(part["value"]) for part in entry["path"][1:]]
        place = f"{entry['location']['file'].removeprefix('./')}:{entry['location']['row']}"
        if "_test.rego:" in place:
            continue
        notes: dict[str, Any] = entry["annotations"]
        if notes["scope"] == "package":
            titles[path[-1]] = notes.get("title", path[-1])
            continue
        rules.setdefault(".".join(path), place)
        custom = notes.get("custom") or {}
        if path[-1] == DENY and "short_name" in custom:
            check = Check(f"{path[-2]}.{custom['short_name']}", notes.get("title", ""), custom.get("remedy", ""), place)
            checks.setdefault(path[-2], []).append(check)
    concerns = [
        Concern(name, titles.get(name, name), tuple(sorted(checks[name], key=lambda check: _order(check.place))))
        for name in sorted(checks)
    ]
    return Catalogue(tuple(concerns), rules)


def _order(place: str) -> tuple[str, int]:
    file, _, line = place.rpartition(":")
    return file, int(line)
