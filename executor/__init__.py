"""The executor: turns a decided intent into a run inside a VM, and records every step. Never imports `harness`."""
