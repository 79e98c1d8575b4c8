"""What a run leaves in the state folder: `outgoing/staging_runs/<lease_id>/`."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from executor.errors import OutsideError
from executor.intent import Intent
from executor.outcome import Outcome


class RunRecord:
    """Writes run folders below a state folder."""

    def __init__(self, state: Path) -> None:
        """`state`: the state folder."""
        self._runs = state / "outgoing" / "staging_runs"

    def before(self, lease_id: str, intent: Intent) -> dict[str, Any]:
        """The rollback pack's first half: what is in the workspace before anything runs. Raises `OutsideError`."""
        manifest = [
            {"path": file.path, "mode": file.mode, "sha256": hashlib.sha256(file.content).hexdigest()}
            for file in sorted(intent.files, key=lambda file: file.path)
        ]
        text = json.dumps({"lease_id": lease_id, "before": manifest}, indent=1, sort_keys=True)
        self._write(lease_id, {"rollback/manifest.json": text.encode()})
        return {"files": len(manifest), "digest": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}

    def publish(self, outcome: Outcome) -> dict[str, Any]:
        """The run's files; what `report_event.PUBLISHED` says of them. Raises `OutsideError`."""
        lease_id = str((outcome.lease or {}).get("lease_id", outcome.intent_id))
        last = outcome.results[-1] if outcome.results else None
        meta = {
            "intent_id": outcome.intent_id,
            "engine": outcome.engine,
            "vm_id": outcome.vm_id,
            "verdict": outcome.verdict,
            "effect": outcome.effect,
            "reasons": list(outcome.reasons),
            "stages": [{"name": one.name, "duration_ns": one.duration_ns, "side": one.side} for one in outcome.stages],
            "samples": list(outcome.samples),
        }
        text = json.dumps(meta, indent=1, sort_keys=True).encode()
        files = {
            "stdout.log": b"".join(result.stdout for result in outcome.results),
            "stderr.log": b"".join(result.stderr for result in outcome.results),
            "exit_code.txt": f"{last.exit_code if last else ''}\n".encode(),
            "meta.json": text,
        }
        self._write(lease_id, files)
        return {"effect": outcome.effect, "meta": f"sha256:{hashlib.sha256(text).hexdigest()}"}

    def _write(self, lease_id: str, files: dict[str, bytes]) -> None:
        folder = self._runs / lease_id
        try:
            for name, content in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
                with os.fdopen(descriptor, "wb") as out:
                    out.write(content)
        except OSError as error:
            raise OutsideError(f"cannot write the run folder {folder}: {error.strerror}") from None
