"""What bootstrap.py installs: names, versions, digests, and how much room they take."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).resolve().parent.parent
"""The checkout."""

Part = Literal["build", "vm", "policy", "report"]
"""build: what compiles libvirt-python - vm: QEMU, libvirt, image tools, accounts - policy: OPA and Regal -
report: Allure's command line and a browser to open its page with."""

ENVIRONMENTS: Final[dict[str, tuple[str, ...]]] = {
    "drills": ("drills",),
    "tests": ("tests", "policies", "lint", "types"),
    "policies": ("policies",),
    "bench": ("bench",),
    "report": ("report",),
    "lint": ("lint",),
    "types": ("types",),
    "lock": ("lock",),
}
"""What is asked for -> tox environments. `tests` is all that plain `tox` runs."""

PARTS: Final[dict[str, tuple[Part, ...]]] = {
    "drills": ("build", "vm", "policy", "report"),
    "tests": ("build", "vm", "policy", "report"),
    "policies": ("build", "policy"),
    "bench": ("build", "vm", "policy"),
    "report": ("build", "report"),
    "lint": (),
    "types": ("build",),
    "lock": (),
}
"""What each environment needs of this machine, beside Python packages."""

PACKAGES: Final[dict[Part, tuple[str, ...]]] = {
    "build": ("gcc", "libc6-dev", "pkg-config", "libvirt-dev"),
    "vm": (
        "qemu-system-x86",
        "qemu-utils",
        "libvirt-daemon",
        "libvirt-daemon-driver-qemu",
        "libvirt-clients",
        "mmdebstrap",
        "debian-archive-keyring",  # the keys mmdebstrap checks Debian's signatures with, on Ubuntu not there
        "squashfs-tools",
        "xorriso",
        "e2fsprogs",
        "uidmap",  # lets a user other than root build the image
        "nftables",
        "iproute2",
        "procps",
    ),
    "policy": (),
    "report": (),
}
"""Debian packages; installed without what they only recommend."""

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs that open the report, any will do; Debian's package is the first."""

QEMU_USER: Final = "libvirt-qemu"
"""libvirt's QEMU driver refuses to start without a user and a group of this name ("Failed to parse user")."""
QEMU_ID: Final = 64055
"""Its uid and gid in Debian, reserved in base-passwd."""
KVM_GROUP: Final = "kvm"
KVM_MODE: Final = 0o660
"""With QEMU's user kept out of /dev/kvm, libvirt 9 forgets its capability cache: 40 s per VM start, not 0.3 s."""

OPA_VERSION: Final = "1.22.2"
OPA_MINIMUM: Final = (1, 19, 0)
REGAL_VERSION: Final = "0.42.0"
REGAL_MINIMUM: Final = (0, 42, 0)
GO_MINIMUM: Final = (1, 26, 0)
"""What the go.mod files of OPA and Regal ask for."""
GO_SWITCHING: Final = (1, 21, 0)
"""From here on `go` fetches a newer Go by itself, unless GOTOOLCHAIN=local."""
GO_TOOLCHAIN: Final = "v0.0.1-go1.26.8.linux-amd64"
GO_TOOLCHAIN_SHA256: Final = "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7"
"""The Go toolchain as module of the Go proxy: the last way to OPA where neither Go nor GitHub can be had."""

NODE_MINIMUM: Final = (20, 19, 0)
"""Allure 3.18's dependencies ask for it."""

PYTHON_MINIMUM: Final = (3, 11)

MIB: Final = 1024 * 1024
SIZES: Final[dict[str, int]] = {
    "apt": 900 * MIB,
    "opa": 1500 * MIB,  # Go's module and build caches; the program itself is 60 MiB
    "regal": 500 * MIB,  # most of what it builds from is in the caches after OPA
    "node": 250 * MIB,
    "allure": 120 * MIB,
    "tox": 60 * MIB,
}
"""Bytes a step needs at most while it is done, measured on Debian 12 and rounded up."""

RUN_SIZES: Final[dict[str, int]] = {
    "drills": 3500 * MIB,  # gold image being built, its snapshot, overlays, results
    "tests": 3500 * MIB,
    "bench": 3500 * MIB,
    "policies": 300 * MIB,
    "report": 300 * MIB,
    "types": 300 * MIB,
    "lint": 100 * MIB,
    "lock": 100 * MIB,
}
"""Bytes a run itself needs at most, Python environment included."""
RERUN_SIZE: Final = 500 * MIB
"""Bytes wanted when everything is installed and the image is built: overlays and results."""
