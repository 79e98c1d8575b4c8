"""The steps that change the system: packages, accounts, the mode of /dev/kvm. All need root."""

from __future__ import annotations

from typing import Final

from provision import plan, shell

_APT_OPTIONS: Final = ("--option=Acquire::Retries=3", "--option=DPkg::Lock::Timeout=300", "--quiet=2")
"""apt's own tries per file, and five minutes' patience with another apt at work."""


def install_packages(step: plan.Step, privilege: str) -> None:
    """Install the Debian packages of `step`, nothing they merely recommend, without a question."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    then = "look at apt's lines above (network, mirror, held packages), then run the same command again"
    update = shell.as_root(["apt-get", "update", *_APT_OPTIONS], privilege)
    shell.run(update, what="apt-get update", then=then, tries=shell.TRIES, environment=quiet)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *_APT_OPTIONS]
    # Configuration files an administrator has changed stay as they are.
    install += ["--option=Dpkg::Options::=--force-confold", *step.items]
    shell.run(
        shell.as_root(install, privilege), what="apt-get install", then=then, tries=shell.TRIES, environment=quiet
    )


def run_as_root(step: plan.Step, privilege: str) -> None:
    """Do an `account` or `kvm` step."""
    for command in plan.root_commands(step):
        full = shell.as_root(command, privilege)
        shell.run(full, what=step.title, then=f"do it by hand as root: {plan.mend(step)}")
