"""Where Cordon keeps things: state (kept), cache (may be deleted), runtime (sockets and overlays)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from executor.errors import OutsideError, outside


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
    """Sockets and overlays: `$CORDON_RUNTIME`, else /var/lib/cordon/run for root, else below $XDG_RUNTIME_DIR or /tmp.

    Kept short on purpose: a unix socket's path ends at 108 bytes. Not /run: overlays can outgrow a small tmpfs.
    """
    if value := os.environ.get("CORDON_RUNTIME"):
        return Path(value).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/cordon/run")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/cordon-{os.getuid()}") / "cordon"  # noqa: S108 - checked: `private_dir`


def private_dir(path: Path, mode: int = 0o700) -> Path:
    """Make `path` (and its parents) with `mode`; raises `OutsideError` when it is a link or somebody else's.

    One that is there gets the bits of `mode` it lacks (who came first asked for less, or the umask took them): QEMU's
    user has to pass through the runtime folder, which OPA's part makes for itself alone.
    """
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and mode & ~found.st_mode:
            path.chmod(stat.S_IMODE(found.st_mode) | mode)
    except OSError as error:
        raise outside(f"cannot make the folder {path}", error) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise OutsideError(f"{path} is not a folder of this user: remove it, or point CORDON_RUNTIME elsewhere")
    return path
