"""The built-ins a policy may use: OPA's own list without what reaches outside or is no function of the input.

`python -m harness.gate.capabilities > policies/capabilities.json` writes the list anew from the OPA that is used.
"""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from executor.errors import OutsideError
from executor.policy.find import find_opa
from harness.policydir import OpaTool

REFUSED: Final = {
    "http.send": "reaches the network",
    "net.*": "resolves names, and judges addresses the guest's network judges",
    "opa.runtime": "shows the environment of the process",
    "providers.*": "signs requests to clouds",
    "rand.*": "a decision must come out the same again",
    "uuid.rfc4122": "random, as above",
    "time.now_ns": "the time of a decision is in its input",
    "trace": "for debugging by hand",
    "rego.parse_module": "policies do not read policies",
    "io.jwt.*": "signatures are verified outside and come as facts",
    "crypto.x509.*": "as above",
    "crypto.parse_private_keys": "keys have no business in a policy",
    "crypto.hmac.*": "as above",
    "crypto.md5": "broken",
    "crypto.sha1": "broken",
}
"""Patterns of names, each with its reason."""
_FEATURES: Final = frozenset({"keywords_in_refs", "rego_v1"})
_DEADLINE_S: Final = 30


def refused(name: str) -> bool:
    """True for a built-in that no policy may call."""
    return any(fnmatchcase(name, pattern) for pattern in REFUSED)


def trimmed(capabilities: dict[str, Any]) -> dict[str, Any]:
    """`capabilities` with what policies may use."""
    return {
        "builtins": [builtin for builtin in capabilities["builtins"] if not refused(builtin["name"])],
        "features": sorted(_FEATURES & set(capabilities.get("features", []))),
        "future_keywords": [],
        "wasm_abi_versions": [],
        "allow_net": [],
    }


def render(capabilities: dict[str, Any]) -> str:
    """JSON with one built-in a line, so that a change of OPA shows as lines."""
    lines = ",\n".join(f"    {json.dumps(builtin, sort_keys=True)}" for builtin in capabilities["builtins"])
    rest = {key: value for key, value in capabilities.items() if key != "builtins"}
    return f'{{\n  "builtins": [\n{lines}\n  ],\n' + json.dumps(rest, indent=2, sort_keys=True)[2:] + "\n"


def problems(file: Path) -> list[str]:
    """What is wrong with the committed list: unreadable, or lets through what is refused."""
    try:
        names = [builtin["name"] for builtin in json.loads(file.read_text(encoding="utf-8"))["builtins"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{file} cannot be read: {error}"]
    return [f"{file} allows {name}, which is refused" for name in names if refused(name)]


def current(opa: OpaTool) -> dict[str, Any]:
    """What the OPA in use can do; raises `OutsideError` when it does not say."""
    done = opa.run(["capabilities", "--current"], cwd=Path.cwd(), deadline_s=_DEADLINE_S)
    if done.code != 0:
        raise OutsideError(f"opa capabilities: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.stdout.write(render(trimmed(current(OpaTool(find_opa())))))
