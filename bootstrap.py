#!/usr/bin/env python3
"""Install what Cordon needs on this machine, then run tox. Needs Python 3.11 or newer and nothing else.

Says what it will install before it does. Run again, it finds everything in place and goes straight to tox. What it
installs: Debian packages through apt (with sudo when not root), the accounts libvirt's QEMU driver needs, and, in the
cache folder ($CORDON_CACHE, else $XDG_CACHE_HOME/cordon, else ~/.cache/cordon), OPA, Regal, Allure and tox, all pinned.

Exit status: 0 good, 1 something could not be installed or tox found faults, 2 wrong use, 130 stopped by Ctrl-C.
"""

# This file stays readable to Pythons from 3.7 on, so that they can say what is wrong instead of a syntax error.

from __future__ import annotations

import argparse
import sys

EXAMPLES = """\
environments:
  drills    every scenario on real VMs, the report, the summary
  tests     what every change must pass: tests, policies, lint, types
  policies | bench | report | lint | types | lock    one of them

examples:
  python3 bootstrap.py drills
  python3 bootstrap.py tests
  python3 bootstrap.py drills -- -k hello -n 2      words after -- go to the environment's own program
  python3 bootstrap.py drills --dry-run             say what would be installed, and do nothing
  python3 bootstrap.py drills --setup-only          install, and do not run tox
"""

EXIT_FAILED = 1
EXIT_MISUSE = 2
EXIT_INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Everything, from the words of the command line to the exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this is the check that tells an older Python
        found = ".".join(str(part) for part in sys.version_info[:3])
        sys.stderr.write(
            "bootstrap: Python 3.11 or newer is needed, this is " + found + "; try `python3.11 bootstrap.py`\n"
        )
        return EXIT_FAILED
    from provision import main as provision  # noqa: PLC0415 - an older Python cannot read it
    from provision.pins import ENVIRONMENTS  # noqa: PLC0415 - as above

    words, extra = split(arguments)
    parser = argparse.ArgumentParser(
        prog="python3 bootstrap.py",
        usage="python3 bootstrap.py ENV [ENV ...] [--dry-run | --setup-only] [-- ...]",
        description=(__doc__ or "").split("\n\n", maxsplit=1)[0],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("environments", metavar="ENV", nargs="+", choices=ENVIRONMENTS, help=", ".join(ENVIRONMENTS))
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--setup-only", action="store_true", help="install what is missing, and do not run tox")
    options = parser.parse_args(words)
    try:
        return provision.go(options.environments, extra, dry_run=options.dry_run, setup_only=options.setup_only)
    except KeyboardInterrupt:
        sys.stderr.write("\nbootstrap: stopped; what is finished stays, run the same command again to go on\n")
        return EXIT_INTERRUPTED


def split(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """(ours, theirs): the words before and after the first `--`; theirs is None without one."""
    if "--" not in arguments:
        return arguments, None
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
