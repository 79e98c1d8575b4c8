"""Whether a policy directory's denials can be had without the rest of the decision.

They can where the decision is one object whose `reasons` are the rule `reasons` beside it: whatever that rule holds is
then what the decision says, and a decision with reasons denies (`executor.policy.decision` takes no other).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from harness.policydir import OpaTool

PACKAGE: Final = re.compile(rb"^package cordon\s*$", re.MULTILINE)


def denials_stand_alone(policies: Path, opa: OpaTool) -> bool:
    """Whether `data.cordon.reasons` may be asked in place of `data.cordon.decision.reasons`."""
    rules: list[dict[str, Any]] = []
    for path in sorted(policies.rglob("*.rego")):
        if not path.name.endswith("_test.rego") and PACKAGE.search(path.read_bytes()):
            tree = opa.parse(path.name, cwd=path.parent, locations=False)
            rules += tree.get("rules") or []
    decisions = [rule for rule in rules if rule["head"].get("name") == "decision"]
    if len(decisions) != 1 or "else" in decisions[0] or not any(r["head"].get("name") == "reasons" for r in rules):
        return False
    value = decisions[0]["head"].get("value") or {}
    if value.get("type") != "object":
        return False
    said = {key.get("value"): term for key, term in value["value"]}
    return said.get("reasons") == {"type": "var", "value": "reasons"}
