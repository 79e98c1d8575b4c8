"""docs/policies.md, made from the policies themselves: `python -m harness.reference.policy_docs > docs/policies.md`.

METADATA gives the words, data.yaml the tables; nothing is written twice. The gate fails when the file is not current.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from executor.policy.find import default_policies_dir, find_opa
from harness.gate.source import CONCERNS, Concern, PolicySource
from harness.policydir import OpaTool

_HEAD: Final = """# Policy reference

Made from `policies/` by `python -m harness.reference.policy_docs > docs/policies.md`; do not edit.
How to change a policy: [change a policy in ten minutes](guides/change-a-policy.md).

A request is allowed when the matrix grants every capability and every program it asks for **and** no concern denies
it. Each denial has a code, `<concern>.<short name>`, a message and a remedy.
"""


def render(source: PolicySource) -> str:
    """The whole reference."""
    lines = [_HEAD, *_matrix(source), "## Concerns", ""]
    lines += [f"- [{concern.title}](#{concern.name}) (`{concern.name}`)" for concern in source.concerns]
    lines.append("")
    for concern in source.concerns:
        lines += _concern(source, concern)
    return "\n".join(lines).rstrip() + "\n"


def _matrix(source: PolicySource) -> Iterator[str]:
    data = source.data[f"{CONCERNS}/matrix/data.yaml"].value
    yield from ("## Capabilities", "")
    yield from _table(
        ("capability", "level", "enforced by", "ATP", "risk", "needs", "refused"),
        (
            (f"`{token}`", c["level"], c["enforced_by"], c["atp"], c["risk"], ", ".join(c["signed_by"]), c["refused"])
            for token, c in data["capabilities"].items()
        ),
    )
    tokens = list(data["capabilities"])
    yield from ("", "## Matrix", "", "Who may have what; a cell that is empty is a no.", "")
    yield from _table(
        ("actor", "persona", "phase", *(f"`{token}`" for token in tokens), "programs"),
        (
            (
                actor,
                persona,
                phase,
                *("yes" if t in row["capabilities"] else "" for t in tokens),
                ", ".join(row["programs"]),
            )
            for actor, personas in data["rows"].items()
            for persona, phases in personas.items()
            for phase, row in phases.items()
        ),
    )
    yield ""


def _concern(source: PolicySource, concern: Concern) -> Iterator[str]:
    yield from (f'## <a id="{concern.name}"></a>{concern.title}', "", concern.description.strip(), "")
    yield from _table(
        ("code", "denied because", "what to do"),
        ((f"`{denial.code}`", denial.title, denial.remedy) for denial in concern.denials),
    )
    yield ""
    name = f"{CONCERNS}/{concern.name}/data.yaml"
    if name in source.data and concern.name != "matrix":
        yield from (f"Data (`policies/{name}`):", "")
        yield from _table(("key", "value"), _values(source.data[name].value))
        yield ""


def _values(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """One row for each list and each scalar, by its dotted key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _values(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        yield f"`{key}`", ", ".join(_entry(entry) for entry in value) or "(none)"
    else:
        yield f"`{key}`", _entry(value)


def _entry(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_entry(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_entry(entry) for entry in value) + "]"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return f"`{value}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    yield _row(head)
    yield _row(tuple("---" for _ in head))
    for row in rows:
        yield _row(row)


def _row(cells: tuple[Any, ...]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def main(arguments: list[str]) -> int:
    """Print the reference of `--policies` (default: the checkout's)."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description="Print the policy reference.")
    parser.add_argument("--policies", type=Path, default=default_policies_dir(), metavar="DIR")
    chosen = parser.parse_args(arguments)
    sys.stdout.write(render(PolicySource(chosen.policies, OpaTool(find_opa()))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
