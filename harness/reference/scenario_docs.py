"""docs/scenarios.md, written from the published schema: `python -m harness.reference.scenario_docs [--check]`."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from executor.errors import BugError
from executor.svf.machine import TRAILS
from harness import procedures, schema
from harness.document.expect import implied_trail
from harness.judgement.judge import judge

TARGET: Final = Path("docs/scenarios.md")
_LISTS: Final = (
    ("plan", "Plans"),
    ("tag", "Tags"),
    ("class", "Classes of break-out attempts"),
    ("effect", "Effects"),
    ("verdict", "Verdicts"),
    ("cause", "Causes of a command's end"),
    ("control", "Controls that can be taken away"),
)
_HEAD: Final = """\
# Scenario reference

<!-- Written by `python -m harness.reference.scenario_docs` from the schema: change that one. -->

A scenario is one YAML document below `scenarios/`; a file may hold several. `pytest scenarios` runs them; `cordon
schema` prints the schema for your editor. YAML is read strictly: keys appear once, `true` and `false` are the only
booleans, there are no merge keys, and every mistake is reported with file, line, column, field and what would fit.
[Write a drill](guides/write-a-drill.md) shows one from start to end.
"""


_PROCEDURES: Final = """\
## Procedures

A drill that is no single request (the QEMU process seen from the host, a hostile agent, a killed executor, a damaged
trail) is a `cordon.procedure/1` document: it names a procedure of the harness, which is called as it is, as a positive
control with something taken away, and as a harmless twin. `cordon schema procedure` prints its schema.
"""

_STUDIES: Final = """\
## Studies

What a load does to everybody (a thought loop, lost hosts, a SCRAM in a storm) is a `cordon.study/1` document: a load in
virtual time, claims about its figures, and changes under which the claims must fail. It needs no machine and runs on
every engine. [Plan capacity](guides/capacity.md) shows loads and figures.
"""


def render() -> str:
    """The whole document."""
    parts = [_HEAD, "## Fields\n", "\n".join(_fields(schema.load(), "")), ""]
    for definition, title in _LISTS:
        parts += [f"## {title}\n", schema.load()["$defs"][definition]["description"] + "\n"]
        parts += [*(f"- `{value}`: {meaning}" for value, meaning in schema.choices(definition)), ""]
    parts += ["## Trails\n", _trails(), "", "## Rulings\n", _rulings(), ""]
    parts += [_PROCEDURES, "\n".join(_fields(schema.load(schema.PROCEDURE), "")), ""]
    parts += ["The procedures there are:\n", "\n".join(map(_procedure, procedures.names())), ""]
    parts += [_STUDIES, "\n".join(_fields(schema.load(schema.STUDY), "")), ""]
    return "\n".join(parts)


def _resolve(entry: dict[str, Any]) -> dict[str, Any]:
    """`entry` with its reference followed; what stands beside the reference wins."""
    if "$ref" not in entry:
        return entry
    file, _, path = entry["$ref"].partition("#")
    definitions = schema.load()["$defs"] | (schema.load(schema.PROCEDURE)["$defs"] if not file else {})
    target = definitions[path.rpartition("/")[2]]
    return {**target, **{name: value for name, value in entry.items() if name != "$ref"}}


def _fields(entry: dict[str, Any], indent: str) -> Iterator[str]:
    required = frozenset(entry.get("required", ()))
    for name, raw in entry.get("properties", {}).items():
        field = _resolve(raw)
        facts = [_kind(field)] + (["required"] if name in required else [])
        if "default" in field:
            default = oct(field["default"]) if field.get("x-octal") else field["default"]
            facts.append(f"default `{default}`")
        yield f"{indent}- `{name}` ({', '.join(facts)}): {field['description']}"
        inner = _resolve(field["items"]) if field.get("type") == "array" else field
        if inner.get("properties"):
            yield from _fields(inner, indent + "  ")


def _procedure(name: str) -> str:
    found = procedures.find(name)
    if found is None:
        raise BugError(f"procedure {name} is listed and not there")
    arguments = ", ".join(f"`{one}`" for one in found.arguments)
    return f"- `{name}`{f' ({arguments})' if arguments else ''}: {found.summary}"


def _kind(field: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"]) if len(field["enum"]) < 6 else "a name"
    kinds = {
        "string": "text",
        "integer": "whole number",
        "object": "mapping",
        "array": "list",
        "boolean": "boolean",
        "number": "number",
    }
    wanted = field.get("type", "object")
    text = " or ".join(kinds[name] for name in ([wanted] if isinstance(wanted, str) else wanted))
    if "minimum" in field and not field.get("x-octal") and field.get("maximum", 2**31) < 2**31:
        text += f" {field['minimum']}..{field['maximum']}"
    return text


def _trails() -> str:
    effects = [effect for effect, _ in schema.choices("effect")]
    implied = [f"`{effect}` means `{implied_trail({'effect': effect})}`" for effect in effects]
    names = ", ".join(f"`{name}`" for name in TRAILS)
    text = (
        f"Without `trail` it follows from the effect: {', '.join(implied)}; `refused` by the guest (`guest.*` reasons)"
    )
    text += " means `guest_denied`."
    return "\n".join([*_wrapped(text), "", *_wrapped(f"Named trails, defined in executor/svf/machine.yaml: {names}.")])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def _rulings() -> str:
    """The judge's own list, from where it is kept true: the docstring above the code."""
    module = sys.modules[judge.__module__].__doc__ or ""
    lines = module[module.index("1. ESCAPED") :].strip().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: writes the document, or with --check says whether it is current."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=(__doc__ or "").strip())
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the document is not current")
    options = parser.parse_args(arguments)
    text = render()
    if options.check:
        current = TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text
        sys.stdout.write(f"{TARGET}: {'current' if current else f'not current; run python -m {__spec__.name}'}\n")
        return 0 if current else 1
    TARGET.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{TARGET}: written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
