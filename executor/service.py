"""Opens an executor: every part made, wired and, on the way out, released in the reverse order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from executor import violations
from executor.api import Engine, Request
from executor.budget import Budget
from executor.builds import Builds
from executor.clock import Clock, SystemClock
from executor.control.kill import KillOrder
from executor.deadman import DeadMan
from executor.errors import InvalidInputError, MisuseError
from executor.forecast import load
from executor.governance import Governance
from executor.host_facts import measuring
from executor.keys import KeyStore, Role
from executor.lease import LeaseAuthority
from executor.lease.announce import Announcer
from executor.machine import MachineProvider, Stopped
from executor.network import Network, NetworkConfig
from executor.oracle import statement, workflow
from executor.oracle.workflow import Candidate, Examination
from executor.outcome import Outcome
from executor.paths import private_dir, runtime_dir, state_dir
from executor.pipeline import Pipeline
from executor.policy import PolicyEngine
from executor.pool import PoolPlan
from executor.run_record import RunRecord
from executor.sentinel import patterns
from executor.sentinel.review import Sentinel
from executor.sim import SimProvider, open_machines
from executor.sim.clock import SimClock
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.network.segment import Beyond
from executor.svf import SvfLog

if TYPE_CHECKING:
    from executor.domain import VmHost
    from executor.pool.warm import WarmProvider

Wanted = Literal["auto", "kvm", "tcg", "sim"]

DRILL_HOLDERS: tuple[tuple[Role, str], ...] = (
    ("agent", "cp14"),
    ("agent", "cp18"),
    ("human", "human"),
    ("persona", "architect"),
)
"""Keys a drill signs with; all of them are made in the drill's own state folder and trusted nowhere else."""
DRILLS: Final = "drill-"
"""How the ids of drills' intents begin: breaking rules is what they are for, so in a drill nobody is blamed for it."""


class Judges(NamedTuple):
    """Who judges requests and remembers nothing of them: executors side by side with the same policies may share them.

    Starting OPA and loading the rules for secrets take longer than a hundred requests.
    """

    policy: PolicyEngine
    sentinel: Sentinel


class LocalExecutor:
    """An executor in this process. Thread-safe; `close` releases everything."""

    def __init__(
        self,
        pipeline: Pipeline,
        provider: WarmProvider | SimProvider,
        judges: Judges,
        log: SvfLog,
        host: VmHost | SimProvider,
        keys: KeyStore,
        resources: ExitStack,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Use `open_executor`. Every run happens inside `around`: virtual time has to know who is at work."""
        self._around = around
        self._pipeline = pipeline
        self._provider = provider
        self.judges: Final = judges
        """For an executor beside this one that needs none of its own; closed with this one."""
        self._log = log
        self._resources = resources
        self._host = host
        self._keys = keys
        self.facts: dict[str, Any] = {}
        """Versions and digests of what this executor runs with, for reports."""

    @property
    def engine(self) -> Engine:
        """What runs the guests."""
        return self._provider.engine

    def run(self, request: Request) -> Outcome:
        """Take `request` down the path; see `executor.api.Executor.run`."""
        with self._around():
            return self._pipeline.run(request)

    def trusted_keys(self) -> dict[str, bytes]:
        """Key id -> public key of what this executor's signatures are checked with."""
        return self._keys.ring().issuer_keys()

    def examine(
        self,
        candidate: Candidate,
        *,
        progress: Callable[[str], None] = lambda _: None,
        weaken: frozenset[str] = frozenset(),
    ) -> Examination:
        """Put a numerical kernel to the physics oracle; signed with the issuer's key only when everything held.

        `weaken` takes controls away, for drills.
        """

        def sign(found: Examination) -> bytes:
            return statement.create(found, digests=self.facts["digests"], signer=self._keys.issuer())

        return workflow.examine(self, candidate, sign, progress=progress, weaken=weaken)

    def statistics(self) -> dict[str, Any]:
        """Counters and gauges."""
        return {"machines": self._provider.statistics(), "svf": self._log.statistics()}

    def wait_warm(self, seconds: float) -> bool:
        """Wait until a machine waits in a pool, at most `seconds`; whether one does."""
        return self._provider.wait_waiting(1, seconds)

    @property
    def network(self) -> Network:
        """The machines' network, for whoever watches it. Raises `UnmodelledError` where there is none."""
        return self.vms.network

    @property
    def orphans(self) -> tuple[str, ...]:
        """VMs that killed executors had left and that were destroyed when this one opened."""
        reaped = () if isinstance(self._host, SimProvider) else self._host.reaped
        return tuple(name for one in reaped for name in one.machines)

    @property
    def audit(self) -> SvfLog:
        """The audit trail, for whoever has to record something outside a run."""
        return self._log

    def running(self) -> int:
        """Commands that run at this moment."""
        return self._pipeline.running

    @property
    def machines(self) -> MachineProvider:
        """Where machines come from, for drills that look at one. Raises `UnmodelledError` in the simulator."""
        if isinstance(self._host, SimProvider):
            raise UnmodelledError("a machine looked at from the host")
        return self._provider

    @property
    def budget(self) -> Budget:
        """What every requester has left."""
        return self._pipeline.budget

    @property
    def vms(self) -> VmHost:
        """The VMs of this executor, for drills that make their own. Raises `UnmodelledError` where there are none."""
        if isinstance(self._host, SimProvider):
            raise UnmodelledError("a VM looked at from the host")
        return self._host

    def pause(self) -> Stopped:
        """Stop everything where it is: no task is dispatched, no VM runs."""
        self._pipeline.halted.set()
        return self._host.pause_all()

    def kill(self, order: KillOrder, begun: Iterable[str] = ()) -> tuple[str, ...]:
        """Kill what runs and is meant by `order`, each within a second; the intents that are.

        `begun`: those meant that were handed out and may not have come to run yet.
        """
        return self._pipeline.kills.pull(order, begun)

    def resume(self) -> tuple[str, ...]:
        """Go on after `pause`; the names of the VMs that run again."""
        self._pipeline.halted.clear()
        return self._host.resume_all()

    def close(self) -> None:
        """Destroy every VM, stop OPA, close the log; a second call is silent."""
        self._resources.close()


def open_executor(  # noqa: PLR0913 - what an executor is made of, all by name
    engine: Wanted = "auto",
    *,
    state: Path | None = None,
    policies: Path,
    progress: Callable[[str], None] = lambda _: None,
    drill: bool = False,
    clock: Clock | None = None,
    network: NetworkConfig | None = None,
    pool: PoolPlan = PoolPlan(),  # noqa: B008 - frozen
    beyond: Beyond | None = None,
    judges: Judges | None = None,
) -> LocalExecutor:
    """An executor that decides by `policies` and keeps its state in `state`.

    `pool`: how many machines wait, and whether they are used again.

    `drill` makes the keys a drill signs with, where there are none. Building the image and probing KVM happen here,
    with `progress` told. `network` says where machines with net:egress may get out: by default nowhere. `beyond` is
    the same for the simulator: who answers there. `judges` are asked in place of some of this executor's own, and stay
    open: they judge by these `policies`.
    Raises `OutsideError` naming what is missing, `MisuseError` when `state` has no keys.
    """
    if engine not in {"auto", "kvm", "tcg", "sim"}:
        raise InvalidInputError(f"engine {engine!r} is none of auto, kvm, tcg, sim")
    virtual = (clock if isinstance(clock, SimClock) else SimClock()) if engine == "sim" else None
    clock = virtual or clock or SystemClock()
    state = private_dir(state or state_dir())
    with ExitStack() as resources:
        keys = _keys(state, clock, drill=drill)
        log = SvfLog.open(state / "logs" / "svf_audit", clock, signer=keys.issuer())
        resources.callback(log.close)
        if judges is None:
            policy = PolicyEngine(policies, clock=SystemClock() if virtual else clock, on_event=_loaded(log))
            resources.callback(policy.close)
            sentinel = Sentinel(patterns=patterns.load(policies))
            resources.callback(sentinel.close)
            sentinel.start()
            judges = Judges(policy, sentinel)
        else:
            _loaded(log)("policy_event.LOADED", {"policy_digest": judges.policy.digest, "cause": "start"})
        host: VmHost | SimProvider
        provider: WarmProvider | SimProvider
        if virtual:
            events = int(log.statistics()["seq"])
            host, facts = open_machines(virtual, resources, recorder=log, beyond=beyond, after=events)
            provider = host
        else:
            from executor.pool import opened  # noqa: PLC0415 - libvirt and images, which no simulated machine needs

            real = "auto" if engine == "sim" else engine
            host, provider, facts = opened.open_machines(real, clock, progress, resources, network, pool, log)
        authority = LeaseAuthority(state, clock, keys.issuer(), keys.ring)
        resources.callback(authority.close)
        budget = Budget()
        # What waits in the pool goes when room is needed: it stands in nobody's way.
        measured = measuring(runtime_dir(), lambda: _assigned(provider.statistics()), drill=drill)
        broken = violations.load(
            state / "logs" / "svf_audit",
            violations.window(policies),
            clock.now_ns(),
            ignored=DRILLS if drill else "",
        )
        past = violations.Past(load(state / "outgoing" / "staging_runs"), broken)
        builds = Builds(state, keys, clock)
        governance = Governance(judges.policy, authority, keys, judges.sentinel, budget, clock, measured, past, builds)
        announcer = Announcer(lambda: governance.announce_ends(log))
        resources.callback(announcer.close)
        dead_man = DeadMan(clock)
        resources.callback(dead_man.close)
        pipeline = Pipeline(governance, provider, budget, log, clock, RunRecord(state), dead_man)
        around: Callable[[], AbstractContextManager[None]] = nullcontext
        if virtual:
            virtual.watched_by(dead_man.next_ns)
            around = virtual.actor
        executor = LocalExecutor(pipeline, provider, judges, log, host, keys, resources.pop_all(), around)
    executor.facts = {**facts, "digests": {**facts["digests"], "policy": judges.policy.digest}}
    return executor


def _assigned(machines: Mapping[str, int]) -> int:
    """Machines that are somebody's."""
    return max(0, machines["alive"] - machines["idle"])


def _loaded(log: SvfLog) -> Callable[[str, Mapping[str, Any]], None]:
    """Records what the policy engine says it has loaded."""

    def record(kind: str, data: Mapping[str, Any]) -> None:
        log.emit(kind, "cp16", policy_digest=str(data["policy_digest"]), data=data)

    return record


def _keys(state: Path, clock: Clock, *, drill: bool) -> KeyStore:
    keys = KeyStore(state, clock)
    if not keys.trust_path.exists():
        if not drill:
            raise MisuseError(f"there are no keys in {state}; `cordon keys init` makes them")
        keys.init()
        for role, holder in DRILL_HOLDERS:
            keys.create(role, holder)
    return keys
