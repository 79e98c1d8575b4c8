"""First code of the agent in the guest, there /agent/main.py: set the import path, then hand over."""

import sys

# The agent disk first, so that nothing on the root can take a module's place; then protobuf.
sys.path[:0] = ["/agent", "/opt/cordon/lib"]

from executor.guest.main import main  # noqa: E402 - needs the path

sys.exit(main())
