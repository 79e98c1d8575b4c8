"""How long mutation testing of all policies takes. Bar: at most 5 minutes.

Measured is the whole run: parsing, making the mutants, the tests of each. The second figure is the average a mutant
costs on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.figure import spread
from executor.policy import default_policies_dir, find_opa
from harness.jobs import default_jobs
from harness.mutate.campaign import Choice, run_campaign
from harness.policydir import OpaTool


def figures(only: tuple[str, ...] = (), policies: Path | None = None) -> list[dict[str, Any]]:
    """Seconds for all mutants (or those of `only`), milliseconds for one, and how many there were."""
    root = policies or default_policies_dir()
    jobs = default_jobs()
    campaign = run_campaign(root, OpaTool(find_opa()), Choice(only=only), jobs=jobs)
    ran = len(campaign.verdicts)
    return [
        spread("mutate.all_policies" if not only else "mutate.part", "s", [campaign.seconds]),
        spread("mutate.mutant", "ms", [campaign.seconds * jobs / max(1, ran) * 1000]),
        spread("mutate.mutants", "1", [float(ran)]),
        spread("mutate.survivors", "1", [float(len(campaign.of("survived")))]),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="a package, file or directory instead of all")
    json.dump(figures(tuple(parser.parse_args().only)), sys.stdout, indent=2)
    sys.stdout.write("\n")
