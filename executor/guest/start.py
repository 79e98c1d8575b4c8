"""First code of the agent in the guest: set the import path, then hand over. Runs as /agent/main.py, isolated (-I -S -B)."""

import sys

# The agent disk first, so that nothing on the root can take a module's place; then protobuf.
sys.path[:0] = ["/agent", "/opt/cordon/lib"]

from executor.guest.main import main  # noqa: E402 - needs the path

sys.exit(main())
