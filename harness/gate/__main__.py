"""`python -m harness.gate`: the policy gate, as `tox -e policies` runs it."""

import sys

from harness.gate.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
