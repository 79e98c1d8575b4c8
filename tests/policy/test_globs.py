"""What globs mean here: the denylist as one glob, each of its entries alone, and a second reading of them, agree."""

from __future__ import annotations

import json
import random
import re
import subprocess
from pathlib import Path

import pytest

from harness.document.strict_yaml import load_documents

SEGMENTS = [
    "a",
    "b",
    "etc",
    "root",
    "proc",
    "sys",
    "kernel",
    "shadow",
    "shadow-",
    "gshadow",
    "sudoers",
    "sudoers.d",
    "ssh",
    ".ssh",
    ".SSH",
    "Config",
    "config.worktree",
    ".aws",
    ".git",
    "hooks",
    "config",
    ".netrc",
    "x.pem",
    ".pem",
    "pem",
    "id_rsa",
    "id_rsa.pub",
    "xid_rsa",
    "id_ed25519_sk",
    "dev",
    "mem",
    "vport0p1",
    "virtio-ports",
    "run",
    "cordon",
    "workspace",
    "tmp",
    "firmware",
    "fs",
    "bpf",
    "boot",
    ".gnupg",
    "kcore",
    "keys",
]
"""Words of the denylist, and their neighbours."""


def as_regex(glob: str) -> re.Pattern[str]:
    """`**` is anything, `*` anything but a slash: the whole of what these globs mean."""
    parts = (re.escape(part) for part in re.split(r"(\*\*|\*)", glob))
    return re.compile("".join({r"\*\*": ".*", r"\*": "[^/]*"}.get(part, part) for part in parts), re.DOTALL)


def paths(denylist: list[str]) -> list[str]:
    """Some thousand paths on and near the denylist, always the same."""
    chance = random.Random(20)  # noqa: S311 - chance that repeats is what is wanted
    made = {"/" + "/".join(chance.choices(SEGMENTS, k=chance.randint(1, 5))) for _ in range(2000)}
    for entry in denylist:
        for _ in range(20):
            deep = "/".join(chance.choices(SEGMENTS, k=chance.randint(1, 3)))
            made.add(entry.replace("**", deep).replace("*", chance.choice([*SEGMENTS, ""])))
    near = {path + chance.choice(["/", "x", "*", "/**", "\n", ",", "}"]) for path in sorted(made)[::5]}
    return sorted(made | near)


@pytest.fixture(scope="module")
def denylist(policies: Path) -> list[str]:
    """The denylist of the checkout."""
    name = policies / "cordon/rules/paths/data.yaml"
    entries: list[str] = load_documents(name.read_text(), str(name))[0].value["denylist"]
    return entries


def test_three_readings_of_the_denylist_agree(tmp_path: Path, opa: Path, policies: Path, denylist: list[str]) -> None:
    """For every path: the one glob the policy asks, the entries one by one, and a reading in Python agree."""
    tried = paths(denylist)
    (tmp_path / "module.rego").write_text(
        "package globs\n\nimport rego.v1\n\ntogether := [p | some p in input; data.cordon.rules.paths.denied(p)]\n\n"
        "alone := [p | some p in input; one(p)]\n\n"
        'one(p) if {\n\tsome g in data.cordon.rules.paths.denylist\n\tglob.match(g, ["/"], lower(p))\n}\n'
    )
    (tmp_path / "input.json").write_text(json.dumps(tried))
    command: list[str | Path] = [
        opa,
        "eval",
        "--bundle",
        policies,
        "--data",
        "module.rego",
        "--input",
        "input.json",
        "--format",
        "json",
    ]
    said = subprocess.run([*command, "data.globs"], cwd=tmp_path, capture_output=True, check=True, timeout=120)
    found = json.loads(said.stdout)["result"][0]["expressions"][0]["value"]
    expressions = [as_regex(entry) for entry in denylist]
    expected = [path for path in tried if any(expression.fullmatch(path.lower()) for expression in expressions)]
    assert 100 < len(expected) < len(tried) - 100
    assert found == {"together": expected, "alone": expected}


def test_every_entry_takes_part(denylist: list[str]) -> None:
    """The paths tried above meet every entry, so that agreement says something."""
    tried = paths(denylist)
    met = [entry for entry in denylist if any(as_regex(entry).fullmatch(path) for path in tried)]
    assert met == denylist
