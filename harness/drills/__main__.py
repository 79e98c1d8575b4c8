"""`python -m harness.drills`: the drills, as `tox -e drills` runs them."""

import sys

from harness.drills.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
