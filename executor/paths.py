"""Where Cordon keeps things: state (kept), cache (may be deleted), runtime (sockets and overlays)."""

from __future__ import annotations

import os
from pathlib import Path


def state_dir() -> Path:
    """Leases, runs, keys, audit logs: `$CORDON_STATE`, else /var/lib/cordon for root, else ~/.local/state/cordon."""
    if value := os.environ.get("CORDON_STATE"):
        return Path(value).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/cordon")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "cordon"


def cache_dir() -> Path:
    """Images, tools, snapshots, each keyed by content: `$CORDON_CACHE`, else $XDG_CACHE_HOME or ~/.cache, /cordon."""
    if value := os.environ.get("CORDON_CACHE"):
        return Path(value).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cordon"


def runtime_dir() -> Path:
    """Sockets, overlays, VMs: `$CORDON_RUNTIME`, else /run/cordon for root, else below $XDG_RUNTIME_DIR or /tmp.

    Kept short on purpose: a unix socket's path ends at 108 bytes.
    """
    if value := os.environ.get("CORDON_RUNTIME"):
        return Path(value).absolute()
    if os.geteuid() == 0:
        return Path("/run/cordon")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/cordon-{os.getuid()}") / "cordon"  # noqa: S108 - created 0700, checked by its user
