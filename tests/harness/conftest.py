"""Runs pytest inside pytest over scenarios of its own, with a scripted executor in the place of real VMs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

HELLO: Final = """\
schema: cordon.scenario/1
id: {id}
title: Scenario {id}
plan: {plan}
tags: [{tags}]
description: Says hello.
intent: {{requester: cbo, commands: [{{argv: {argv}}}]}}
expect: {{verdict: allow, effect: completed, stdout: {{contains: hi}}}}
"""
ATTEMPT: Final = """\
schema: cordon.scenario/1
id: attempt
title: An attempt
plan: seccomp
description: Tries.
intent: {requester: drill, commands: [{argv: [kill-me]}]}
expect: {verdict: allow, effect: killed, signal: SIGSYS}
breakout: {class: K, mechanism: some-call, refusal: {signal: SIGSYS}}
controls:
  positive: {weaken: [seccomp], expect: {effect: completed, stdout: {contains: GOT IN}}}
  twin: {commands: [{argv: [echo, hi]}], expect: {effect: completed}}
"""
INNER: Final = '''\
"""A scripted executor: records outcomes as a correct one would, by the first word of the command."""

from dataclasses import replace
from pathlib import Path

import pytest

from executor.errors import HypervisorError
from fixtures import outcomes as make
from harness.collection.items import SESSION


class Scripted:
    """Counts itself in files, so that tests see how many there were and whether each was closed."""

    engine = "tcg"
    facts = {
        "figures": {"cold_boot_ns": 7_000_000_000},
        "versions": {"qemu": "9"},
        "digests": {"policy": "sha256:p", "image": "sha256:i", "agent": "sha256:a"},
    }

    def __init__(self, folder):
        self.mark = folder / f"executor-{id(self)}"
        self.mark.write_text("open")

    def run(self, request):
        word = (request.attempt or request.intent.commands)[0].argv[0]
        weaken = tuple(request.weaken - {"event_drop"})
        sigsys = make.result(cause="seccomp", exit_code=-1, signal=31, syscall=101, stdout=b"")
        if word == "broken":
            raise HypervisorError("no such device")
        if word == "denied":
            outcome = make.denied("rules.capability_not_granted")
        elif word == "evil":
            evil = b"\\x1b[31mred\\x1b[0m <script>alert('ran')</script> ]]></script><img src=x onerror=alert('ran')>\\n"
            evil += "\\u202egnp.exe\\u2066 [x](javascript:alert('ran'))\\n".encode() + b"x" * 1000 + b"\\n"
            outcome = make.executed(make.result(exit_code=3, stdout=evil, stderr=evil), weaken=weaken)
        elif word == "kill-me":
            one = make.result(stdout=b"GOT IN") if "seccomp" in request.weaken else sigsys
            outcome = make.executed(one, weaken=weaken)
        else:
            outcome = make.executed(make.result(stdout=b"hi there"), weaken=weaken)
        outcome = make.of_intent(outcome, request.intent.intent_id)
        return make.without(outcome, "vm_event.ACQUIRED") if "event_drop" in request.weaken else outcome

    def statistics(self):
        return {}

    def close(self):
        self.mark.write_text("closed")


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    config.stash[SESSION].opener = lambda session: Scripted(config.rootpath)
'''


@dataclass(frozen=True)
class Project:
    """A pytest project of its own with scenarios in it."""

    pytester: pytest.Pytester

    @property
    def path(self) -> Path:
        """Its root."""
        return self.pytester.path

    def write(self, name: str, *texts: str) -> Path:
        """A scenario file with those documents."""
        path = self.path / "scenarios" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\n".join(texts), encoding="utf-8")
        return path

    @staticmethod
    def hello(name: str, *, plan: str = "hello", tags: str = "", argv: str = "[echo, hi]") -> str:
        """A scenario that passes, unless its command says otherwise."""
        return HELLO.format(id=name, plan=plan, tags=tags, argv=argv)

    attempt = ATTEMPT

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest over scenarios/ with `arguments`: here, or where it would leave traces in a process of its own."""
        apart = any(argument.startswith(("-n", "--alluredir")) for argument in arguments)
        run = self.pytester.runpytest_subprocess if apart else self.pytester.runpytest_inprocess
        return run("scenarios", *arguments)

    def summary(self) -> dict[str, Any]:
        """The machine-readable summary that `--summary out.json` wrote."""
        found: dict[str, Any] = json.loads((self.path / "out.json").read_text(encoding="utf-8"))
        return found

    def executors(self) -> list[str]:
        """What became of each executor that was started."""
        return sorted(mark.read_text() for mark in self.path.glob("executor-*"))


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a scripted executor and an empty scenarios folder."""
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    bootstrap = (root / "conftest.py").read_text(encoding="utf-8")
    pytester.path.joinpath("conftest.py").write_text(bootstrap, encoding="utf-8")
    pytester.mkdir("scenarios")
    pytester.path.joinpath("scenarios", "conftest.py").write_text(INNER, encoding="utf-8")
    return Project(pytester)
