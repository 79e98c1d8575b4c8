"""`python -m executor.host.embed_probe`: open libvirt's embedded QEMU driver once; the facts as JSON on stdout.

A process of its own because one may hold only one embedded root, and because what is tried may hang or crash.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from executor.errors import CordonError
from executor.host.facts import Libvirt
from executor.paths import cache_dir, private_dir, runtime_dir


def probe() -> Libvirt:
    """Open, ask the version, close."""
    try:
        from executor.domain.hypervisor import Hypervisor  # noqa: PLC0415 - that it may be missing is one of the facts
    except ImportError as error:
        return Libvirt(imports=False, version="", opens=False, error=str(error))
    runtime = runtime_dir()
    try:
        private_dir(runtime, 0o711)
        root = Path(tempfile.mkdtemp(prefix="doctor-", dir=runtime))
    except (OSError, CordonError) as error:
        return Libvirt(version="", opens=False, error=str(error))
    try:
        root.chmod(0o711)  # QEMU's user passes through
        hypervisor = Hypervisor.embed(root / "lv", cache_dir() / "libvirt-capabilities")
        try:
            version = hypervisor.versions().get("libvirt", "")
        finally:
            hypervisor.close()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the fact
        return Libvirt(version="", opens=False, error=str(error))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return Libvirt(version=version)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(probe())))
