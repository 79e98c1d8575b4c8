"""A starting file for a drill: valid as it stands, with a free id; for `cordon new scenario`."""

from __future__ import annotations

import json
from typing import Final

from executor.errors import InvalidInputError
from harness import schema
from harness.document.scenario import Drill

_PLAIN: Final = """\
# yaml-language-server: $schema={up}harness/schema/scenario.schema.json
schema: cordon.scenario/1
id: {id}
title: {title}
plan: {plan}
description: >
  Say what this shows, for the reader of the report.
intent:
  requester: drill
  commands:
    - argv: [echo, "{id}"]
expect:
  verdict: allow
  effect: completed
  stdout: {{equals: "{id}\\n"}}
"""
_BREAKOUT: Final = """\
# yaml-language-server: $schema={up}harness/schema/scenario.schema.json
schema: cordon.scenario/1
id: {id}
title: {title}
plan: {plan}
description: >
  Say what is attempted, what stops it, and what the control takes away. As it stands it reads a folder that is root's.
intent:
  requester: drill
  commands:
    - argv: [ls, /root]
expect:
  verdict: allow
  effect: failed
  exit_code: 2
  stdout: {{equals: ""}}
breakout:
  class: {class_}
  mechanism: {id}
  refusal: {{errno: EACCES}}
controls:
  positive:                        # the same bytes in a weakened machine: they must get through
    weaken: [unprivileged_user, capabilities]
    expect: {{effect: completed, stdout: {{matches: "^"}}}}
  twin:                            # a harmless sibling in a whole machine: it must work
    commands:
      - argv: [ls, /workspace]
    expect: {{effect: completed}}
"""


def text(identifier: str, *, title: str, plan: str, class_: str = "", depth: int = 1) -> str:
    """The file's text; with `class_` a break-out attempt. `depth`: folders between the file and the repository's root.

    Raises `InvalidInputError` for an unknown plan or class.
    """
    for name, value, known in (("plan", plan, _names("plan")), ("class", class_, ("", *_names("class")))):
        if value not in known:
            raise InvalidInputError(f"no such {name}: {value}; there are {', '.join(filter(None, known))}")
    form = _BREAKOUT if class_ else _PLAIN
    return form.format(
        id=identifier, title=json.dumps(title, ensure_ascii=False), plan=plan, class_=class_, up="../" * depth
    )


def free_id(wanted: str, drills: list[Drill]) -> str:
    """`wanted`, or with a number behind it where that is taken."""
    taken = {drill.id for drill in drills}
    if wanted not in taken:
        return wanted
    return next(f"{wanted}-{number}" for number in range(2, len(taken) + 3) if f"{wanted}-{number}" not in taken)


def folder_of(plan: str) -> str:
    """Where scenarios of a plan are kept, below scenarios/."""
    meanings = dict(schema.choices("plan"))
    return f"plan_{plan.lower()}_{meanings[plan].replace(' ', '_')}" if len(plan) == 1 else plan


def _names(definition: str) -> tuple[str, ...]:
    return tuple(value for value, _ in schema.choices(definition))
