"""The policy gate: what a change of `policies/` must pass. `python -m harness.gate`, run by `tox -e policies`.

Steps, cheapest first; all are run, so that one run shows everything:

1. format - `opa fmt`; 2. data - data.yaml: strict YAML, its schema, names that refer to each other;
3. check - `opa check --strict` against the input's schema and the trimmed built-ins;
4. test - `opa test`, which must run something; 5. coverage - every line of every rule;
6. lint - Regal, every reference resolved against rules and data;
7. codes - every denial has words, a denying test and the allowing twin that differs in one field;
8. exercise - every cell of the matrix and every entry of every list is noticed by a test when it changes;
9. docs - docs/policies.md is what the policies say.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from executor import yaml_text
from executor.errors import CordonError
from executor.host.tools import need_tool
from executor.policy.find import default_policies_dir, find_opa
from harness.gate import capabilities
from harness.gate.data import data_problems
from harness.gate.exercise import exercise
from harness.gate.source import CONCERNS, PolicySource
from harness.policydir import OpaTool
from harness.policydir.opa import Finished
from harness.reference.policy_docs import render

_DEADLINE_S: Final = 300
_TEST_TIMEOUT: Final = "60s"
"""For one test; OPA's own 5 s is short on a busy machine."""
CAPABILITIES: Final = "capabilities.json"
INPUT_SCHEMA: Final = "schemas/input.schema.json"
REGAL_CONFIG: Final = ".regal/config.yaml"
_SHOWN: Final = 500
"""Lines of a step's complaints shown; the rest is counted."""


@dataclass(slots=True)
class Result:
    """How a step ended: its complaints (none: passed) and a word on what it saw."""

    problems: list[str] = field(default_factory=list)
    note: str = ""


NEEDS: Final = {"codes": ("test",), "exercise": ("test",)}
"""Steps that look at what the tests said, so that naming one runs those too."""


class Gate:
    """The steps on one directory."""

    def __init__(self, root: Path, docs: Path | None) -> None:
        """`docs` is the reference to compare with; None leaves that step out."""
        self.opa = OpaTool(find_opa())
        self.root = root.resolve()
        self.docs = docs
        self.source = PolicySource(self.root, self.opa)
        self.tests: list[dict[str, Any]] = []

    def steps(self) -> dict[str, Callable[[], Result]]:
        """Every step by its name, in order."""
        steps = {
            "format": self.format,
            "data": self.data,
            "check": self.check,
            "test": self.test,
            "coverage": self.coverage,
            "lint": self.lint,
            "codes": self.codes,
            "exercise": self.exercise,
        }
        return {**steps, "docs": self.current_docs} if self.docs else steps

    def format(self) -> Result:
        """As `opa fmt` would write it."""
        done = self._opa("fmt", "--fail", "--list", ".")
        return Result(
            [f"{line}: as `opa fmt -w policies` would not leave it" for line in _words(done)] if done.code else []
        )

    def data(self) -> Result:
        """Every data.yaml."""
        found = data_problems(self.source)
        return Result(found, f"{len(self.source.data)} files")

    def check(self) -> Result:
        """Types, names, unused things, built-ins."""
        listed = capabilities.problems(self.root / CAPABILITIES)
        done = self._opa("check", "--strict", "--bundle", *self._bounds(), ".")
        return Result(listed + (_words(done) if done.code else []))

    def test(self) -> Result:
        """Every test passes, and there are some."""
        done = self._opa(
            "test", "--bundle", *self._bounds(), "--timeout", _TEST_TIMEOUT, "--fail-on-empty", "--format", "json", "."
        )
        try:
            self.tests = json.loads(done.stdout) or []
        except ValueError:
            return Result(_words(done) or ["opa test said nothing"])
        failed = [
            f"{_place(test)}: {test['package'].removeprefix('data.')}.{test['name']}"
            f" {'could not be run' if test.get('error') else 'failed'}"
            for test in self.tests
            if test.get("fail") or test.get("error") or test.get("skip")
        ]
        return Result(failed or (_words(done) if done.code else []), f"{len(self.tests)} tests")

    def coverage(self) -> Result:
        """Every line that can be run was run by a test."""
        helped = self._opa("test", "--help").stdout
        # Newer OPAs run everything again to say why a line was not run: twice the time, for a word.
        once = ["--coverage-runs", ""] if b"--coverage-runs" in helped else []
        timeout = ["--timeout", _TEST_TIMEOUT]
        # The threshold, 100, is held against the report here: with --threshold OPA says no more than the figure.
        done = self._opa("test", "--bundle", *self._bounds(), *timeout, "--coverage", *once, "--format", "json", ".")
        try:
            report, _ = json.JSONDecoder().raw_decode(done.stdout.decode())
        except ValueError:
            return Result(_words(done) or ["opa test --coverage said nothing"])
        lines = [
            f"{name}:{span['start']['row']}: not run by any test"
            for name, file in sorted(report["files"].items())
            for span in file.get("not_covered", [])
        ]
        short = [] if report["coverage"] == 100 or lines else [f"{report['coverage']} % of the lines are run, not all"]
        return Result(lines + short + (_words(done) if done.code else []), f"{report['coverage']:.1f} %")

    def lint(self) -> Result:
        """Regal, told of the data it cannot see."""
        regal = OpaTool(need_tool("regal", environment="policies"))
        config = yaml_text.load((self.root / REGAL_CONFIG).read_text(encoding="utf-8"))
        references = [f"data.{name.removesuffix('/data.yaml').replace('/', '.')}" for name in self.source.data]
        known = sorted(
            f"{prefix}.{key}"
            for prefix, name in zip(references, self.source.data, strict=True)
            for key in self.source.data[name].value
        )
        known.append("data.cordon.stamp")
        patterns = [*known, *(f"{reference}.**" for reference in known)]
        config["rules"]["imports"]["unresolved-reference"] = {"level": "error", "except-paths": patterns}
        config["rules"]["imports"]["unresolved-import"] = {"level": "error", "except-imports": known}
        with TemporaryDirectory(prefix="cordon-regal-") as scratch:
            file = Path(scratch) / "config.yaml"
            file.write_text(yaml.safe_dump(config), encoding="utf-8")
            done = regal.run(
                ["lint", "--config-file", str(file), "--format", "json", "."], cwd=self.root, deadline_s=_DEADLINE_S
            )
        try:
            report = json.loads(done.stdout)
        except ValueError:
            return Result(_words(done) or ["regal said nothing"])
        found = [
            f"{_place(violation)}: {violation['title']}: {violation['location'].get('text', violation['description'])}"
            for violation in report.get("violations") or []
        ]
        return Result(found or (_words(done) if done.code else []), f"{report['summary']['files_scanned']} files")

    def codes(self) -> Result:
        """Denials and the cases that show them, both ways."""
        denials = self.source.denials()
        cases = self._cases()
        shown = {case.split(" ", 1)[0] for concern in cases.values() for case in concern}
        found = [
            f"{denials[code].place}: {code} has no case that shows it denying"
            for code in sorted(denials.keys() - shown)
        ]
        found += [
            f"{CONCERNS}: a case shows {code}, which no rule denies with" for code in sorted(shown - denials.keys())
        ]
        run = {(test["package"], test["name"]) for test in self.tests}
        for concern, names in sorted(cases.items()):
            for name, case in names.items():
                if set(case) - {"also"} != {"base", "change"} or not isinstance(case["change"], dict):
                    found.append(f"{concern}: case {name!r} is not one base and one change")
            if (f"data.cordon.rules.{concern}_test", "test_denied") not in run:
                found.append(f"{concern}: no test_denied judges its cases")
        return Result(found, f"{len(denials)} codes, {sum(map(len, cases.values()))} cases")

    def exercise(self) -> Result:
        """Cells and entries, each changed."""
        timed: dict[str, list[tuple[int, str]]] = {}
        for test in self.tests:
            concern = test["package"].removeprefix("data.cordon.rules.").removesuffix("_test")
            timed.setdefault(concern, []).append((test.get("duration", 0), test["name"]))
        done = exercise(self.source, {concern: [name for _, name in sorted(tests)] for concern, tests in timed.items()})
        found = [f"no test notices a change of {label}" for label in done.unnoticed]
        return Result(found, f"{done.cells} cells, {done.tried - done.cells} entries")

    def current_docs(self) -> Result:
        """The reference on disk against the one made now."""
        if self.docs is None:
            return Result()
        wanted = render(self.source).splitlines()
        found = self.docs.read_text(encoding="utf-8").splitlines() if self.docs.exists() else []
        change = list(difflib.unified_diff(found, wanted, str(self.docs), "from the policies", lineterm="", n=0))
        mend = ["write it anew: python -m harness.reference.policy_docs > docs/policies.md"] if change else []
        return Result(change + mend)

    def _cases(self) -> dict[str, dict[str, Any]]:
        query = "{p: c | some p; c := data.cordon.rules[p].cases}"
        done = self._opa("eval", "--bundle", ".", "--format", "json", query)
        if done.code:
            return {}
        value = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
        return {name.removesuffix("_test"): cases for name, cases in value.items()}

    def _bounds(self) -> list[str]:
        return ["--schema", INPUT_SCHEMA, "--capabilities", CAPABILITIES]

    def _opa(self, *args: str) -> Finished:
        return self.opa.run(args, cwd=self.root, deadline_s=_DEADLINE_S)


def _place(found: dict[str, Any]) -> str:
    return f"{found['location']['file']}:{found['location']['row']}"


def _words(done: Finished) -> list[str]:
    if done.timed_out:
        return ["took too long"]
    text = f"{done.stdout.decode(errors='replace')}\n{done.stderr}"
    return [line for line in text.splitlines() if line.strip()]


def run(gate: Gate, only: Sequence[str] = ()) -> int:
    """Run the steps (or those named, with those they need), print how each ended; 0 when all passed, else 1."""
    failed = []
    wanted = {*only, *(needed for name in only for needed in NEEDS.get(name, ()))}
    began = time.monotonic()
    for name, step in gate.steps().items():
        if wanted and name not in wanted:
            continue
        started = time.monotonic()
        try:
            result = step()
        except CordonError as error:
            result = Result(str(error).splitlines())
        took = time.monotonic() - started
        word = "FAILED" if result.problems else "ok"
        _say(f"policies: {name:9} {word:6} {took:5.1f} s  {result.note}".rstrip())
        for line in result.problems[:_SHOWN]:
            _say(f"    {line}")
        if len(result.problems) > _SHOWN:
            _say(f"    ... and {len(result.problems) - _SHOWN} lines more")
        if result.problems:
            failed.append(name)
    _say(f"policies: {'FAILED: ' + ', '.join(failed) if failed else 'passed'} in {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Exit code of the gate: 0 passed, 1 failed, 2 wrong use or a tool is missing."""
    parser = argparse.ArgumentParser(prog="python -m harness.gate", description="What a change of policies must pass.")
    parser.add_argument("--policies", type=Path, default=default_policies_dir(), metavar="DIR")
    parser.add_argument(
        "--docs", type=Path, default=None, metavar="FILE", help="default: docs/policies.md beside the directory"
    )
    parser.add_argument("--only", action="append", default=[], metavar="STEP", help="run this step (again for more)")
    chosen = parser.parse_args(arguments)
    docs = chosen.docs or chosen.policies.resolve().parent / "docs" / "policies.md"
    try:
        gate = Gate(chosen.policies, docs)
        if unknown := sorted(set(chosen.only) - gate.steps().keys()):
            sys.stderr.write(f"policies: no such step: {', '.join(unknown)}; there are {', '.join(gate.steps())}\n")
            return 2
        return run(gate, chosen.only)
    except CordonError as error:
        sys.stderr.write(f"policies: {error}\n")
        return 2
