"""A directory of policies as the gate and the reference read it: data with places, denials with their annotations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from executor.errors import InvalidInputError, OutsideError
from harness.document.strict_yaml import Document, load_documents
from harness.policydir import OpaTool

CONCERNS: Final = "cordon/rules"
"""Where the packages that can deny live, one folder each."""
_DENY: Final = re.compile(r"^deny contains\b", re.MULTILINE)
_DEADLINE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Denial:
    """One rule that denies: its code, the words for the person, and where it is written."""

    concern: str
    short_name: str
    title: str
    description: str
    remedy: str
    place: str

    @property
    def code(self) -> str:
        """`<package>.<short_name>`, as decisions carry it."""
        return f"{self.concern}.{self.short_name}"


@dataclass(frozen=True, slots=True)
class Concern:
    """One package below `cordon.rules`: what its METADATA says, and its denials in the order of the file."""

    name: str
    title: str
    description: str
    denials: tuple[Denial, ...]


class PolicySource:
    """A directory of policies."""

    def __init__(self, root: Path, opa: OpaTool) -> None:
        """`root` holds `cordon/` and `schemas/`; raises `InvalidInputError` when it does not."""
        if not (root / CONCERNS).is_dir():
            raise InvalidInputError(f"{root} holds no policies: there is no {CONCERNS} in it")
        self.root: Final = root
        self.opa: Final = opa

    @cached_property
    def data(self) -> dict[str, Document]:
        """Every data.yaml by its path below the root; raises `ScenarioError` naming line and key for bad YAML."""
        found: dict[str, Document] = {}
        for file in sorted((self.root / "cordon").rglob("data.yaml")):
            name = file.relative_to(self.root).as_posix()
            documents = load_documents(file.read_text(encoding="utf-8"), name)
            if len(documents) != 1 or not isinstance(documents[0].value, dict):
                raise InvalidInputError(f"{name} is not one mapping")
            found[name] = documents[0]
        return found

    def judged_data(self) -> dict[str, Document]:
        """The data that Rego beside it judges by (what is left is read by Python and tested there)."""
        return {name: document for name, document in self.data.items() if any((self.root / name).parent.glob("*.rego"))}

    @cached_property
    def annotations(self) -> list[dict[str, Any]]:
        """All METADATA, as `opa inspect` reports it."""
        done = self.opa.run(["inspect", "-a", "-f", "json", "."], cwd=self.root, deadline_s=_DEADLINE_S)
        if done.code != 0:
            raise OutsideError(f"opa inspect: {done.stderr.strip() or done.stdout.decode(errors='replace').strip()}")
        found: list[dict[str, Any]] = json.loads(done.stdout).get("annotations") or []
        return found

    @cached_property
    def concerns(self) -> tuple[Concern, ...]:
        """Every concern, by name; raises `InvalidInputError` for a denial that cannot word its reason."""
        return tuple(
            self._concern(folder) for folder in sorted((self.root / CONCERNS).iterdir()) if any(folder.glob("*.rego"))
        )

    def denials(self) -> dict[str, Denial]:
        """Every denial by its code; raises `InvalidInputError` when two share one."""
        found: dict[str, Denial] = {}
        for concern in self.concerns:
            for denial in concern.denials:
                if denial.code in found:
                    raise InvalidInputError(
                        f"{denial.place}: {denial.code} is also the code of {found[denial.code].place}"
                    )
                found[denial.code] = denial
        return found

    def _concern(self, folder: Path) -> Concern:
        name = folder.name
        head: Mapping[str, Any] = {}
        denials = []
        for file in sorted(path for path in folder.glob("*.rego") if not path.name.endswith("_test.rego")):
            shown = file.relative_to(self.root).as_posix()
            annotated = {
                entry["location"]["row"]: entry["annotations"]
                for entry in self.annotations
                if Path(entry["location"]["file"]).as_posix() == shown
            }
            head = next((notes for notes in annotated.values() if notes["scope"] == "package"), head)
            text = file.read_text(encoding="utf-8")
            for match in _DENY.finditer(text):
                row = text.count("\n", 0, match.start()) + 1
                denials.append(_denial(name, f"{shown}:{row}", annotated.get(row, {})))
        if not denials:
            raise InvalidInputError(f"{CONCERNS}/{name} denies nothing")
        return Concern(name, head.get("title", name), head.get("description", ""), tuple(denials))


def _denial(concern: str, place: str, notes: Mapping[str, Any]) -> Denial:
    custom = notes.get("custom", {})
    fields = {"title": notes.get("title"), "short_name": custom.get("short_name"), "remedy": custom.get("remedy")}
    if missing := [name for name, value in fields.items() if not isinstance(value, str) or not value]:
        raise InvalidInputError(
            f"{place}: this denial has no {' and no '.join(missing)} in its METADATA; without them it denies nothing"
        )
    return Denial(
        concern,
        fields["short_name"] or "",
        fields["title"] or "",
        notes.get("description", ""),
        fields["remedy"] or "",
        place,
    )
