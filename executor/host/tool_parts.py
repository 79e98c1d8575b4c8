"""Judge the programs beside the VMs: OPA, Regal, the report, the browser. Pure."""

from __future__ import annotations

from typing import Final

from executor.host.facts import HostFacts
from executor.host.finding import SETUP, Finding, dotted

OPA: Final = (1, 19)
NODE: Final = (20, 19)


def opa(facts: HostFacts) -> Finding:
    """The policy engine."""
    without = "nothing is ever allowed: every request is denied as malformed; leases, audit and images work"
    if facts.opa is None:
        return Finding("opa", "fail", "is not installed", SETUP, without)
    if facts.opa < OPA:
        return Finding("opa", "fail", f"is {dotted(facts.opa)}, {dotted(OPA)} is the least", SETUP, without)
    return Finding("opa", "ok", dotted(facts.opa))


def regal(facts: HostFacts) -> Finding:
    """The linter of policies."""
    if facts.regal is None:
        mend = "python3 bootstrap.py policies --setup-only"
        return Finding("regal", "warn", "is not installed", mend, "drills run; the policy gate cannot lint")
    return Finding("regal", "ok", dotted(facts.regal) if any(facts.regal) else "a build that does not tell its version")


def allure(facts: HostFacts) -> Finding:
    """What makes the HTML report."""
    without = "scenarios run and build/drills/summary.json is written; the HTML report is not"
    if facts.node is None or facts.node < NODE:
        found = "is not installed" if facts.node is None else f"is {dotted(facts.node)}"
        return Finding("report", "fail", f"node {found}, {dotted(NODE)} is the least", SETUP, without)
    if facts.allure is None:
        return Finding("report", "fail", "the Allure command line is not installed", SETUP, without)
    return Finding("report", "ok", f"Allure {dotted(facts.allure)} on node {dotted(facts.node)}")


def browser(facts: HostFacts) -> Finding:
    """What the report is opened with in a test."""
    if not facts.browser:
        mend = "sudo apt-get install --no-install-recommends chromium"
        without = "scenarios run and the report is made; the check that opens it turns the run red"
        return Finding("browser", "fail", "no Chromium", mend, without)
    return Finding("browser", "ok", facts.browser)
