"""What all scenarios of one pytest process share: one executor, started when first needed, and the host's canaries."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from executor.api import Executor
from executor.errors import OutsideError
from executor.paths import cache_dir
from fixtures.test_hosts import HOSTS, World, simulated_world
from fixtures.test_hosts.world import NEIGHBOUR
from harness.judgement.runs import Run
from harness.procedures.stage import Kept
from harness.watch.canaries import HostWatch

Wanted = Literal["auto", "kvm", "tcg", "sim"]
ENGINES: Final[tuple[Wanted, ...]] = ("auto", "kvm", "tcg", "sim")

Opener = Callable[["DrillSession"], Executor]


def open_real_executor(session: DrillSession) -> Executor:
    """The executor behind every engine; imported late, because collection does not need libvirt."""
    from executor.service import open_executor  # noqa: PLC0415 - `pytest --collect-only` works without a hypervisor
    from harness.watch.packet_watch import PacketWatch  # noqa: PLC0415 - it knows the policy's grants, and so OPA

    world = None if session.engine == "sim" else _world(session)
    opened = open_executor(
        engine=session.engine,
        state=session.state,
        policies=session.policies,
        progress=session.progress,
        drill=True,
        network=world.config() if world else None,
        beyond=simulated_world() if session.engine == "sim" else None,
    )
    if session.engine != "sim":  # which opens neither image nor agent disk
        session.watched += _images(str(opened.facts["digests"]["image"]))
    if world:
        world.furnish(opened.network)
        session.watch().packets = PacketWatch(opened.network, HOSTS, [NEIGHBOUR.tap])
    return opened


def _world(session: DrillSession) -> World | None:
    """Hosts to reach from machines with net:egress; None, and a word why, where there can be none."""
    try:
        world = World()
    except (OutsideError, OSError) as error:
        session.progress(f"no test hosts: {error}; what needs them is counted as unmeasured")
        return None
    session.kept.closing.callback(world.close)
    return world


def _images(digest: str) -> tuple[Path, ...]:
    """The gold image whose manifest has `digest`, and the finished agent disks (a dot in front: still being built)."""
    manifests = cache_dir().glob("images/[0-9a-f]*/manifest.json")
    gold = [path.parent for path in manifests if hashlib.sha256(path.read_bytes()).hexdigest() == digest]
    return (*gold, *sorted(cache_dir().glob("agents/[0-9a-f]*")))


@dataclass
class DrillSession:
    """One pytest process (a run without xdist, or one worker)."""

    engine: Wanted
    """As asked for: `auto` until the executor says what it found."""
    policies: Path
    state: Path
    progress: Callable[[str], None]
    sabotage: frozenset[str] = frozenset()
    opener: Opener = open_real_executor
    watched: tuple[Path, ...] = ()
    """Files and folders no run may change."""
    shared_runs: dict[str, tuple[Run, ...]] = field(default_factory=dict)
    """Batch -> the runs its members share, once they are made."""
    kept: Kept = field(init=False)
    """What procedures share."""
    _executor: Executor | None = None
    _failure: OutsideError | None = None
    _watch: HostWatch | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.kept = Kept(self.state, self.policies)

    def executor(self) -> Executor:
        """The executor; the first call starts it. A start that failed is not tried again: the same error is raised."""
        if self._failure is not None:
            raise self._failure
        if self._executor is None:
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._executor = self.opener(self)
            except OutsideError as error:
                self._failure = error
                raise
            self.watch().trees = (self.policies, *self.watched)
        return self._executor

    @property
    def running_engine(self) -> str:
        """The engine in use, or as asked for while nothing has been started."""
        return self._executor.engine if self._executor is not None else self.engine

    def facts(self) -> dict[str, Any]:
        """Versions and digests of what the executor runs with; empty when nothing was started."""
        return dict(getattr(self._executor, "facts", {}))

    def watch(self) -> HostWatch:
        """The host's canaries."""
        if self._watch is None:
            self._watch = HostWatch(self.state / "canaries", (self.policies, *self.watched))
        return self._watch

    def close(self) -> None:
        """Stop the executor and take the canaries away; a second call is silent."""
        executor, self._executor = self._executor, None
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        self.kept.closing.close()
        if executor is not None:
            executor.close()


def own_state(root: Path, worker: str) -> Path:
    """A state folder for this process below `root`; those that dead processes left behind are removed."""
    root.mkdir(parents=True, exist_ok=True)
    for old in root.iterdir():
        pid = old.name.partition("-")[0]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            shutil.rmtree(old, ignore_errors=True)
    return root / f"{os.getpid()}-{worker}"
