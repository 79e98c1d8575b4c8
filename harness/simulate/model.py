"""The service in virtual time: door, queue, workers, policy, pool, machines. One run of a `Load` gives its `Measures`.

What decides is the executor's own: `PriorityQueue` (order, depth, 503), `Budget` (ATP), `wanted_clones` (the pool's
size under memory pressure), the policy's rules (policy_table.py), OPA's deadline. Modelled are only durations.

The course of a task is the service's (docs/adr/0013): it waits before it is judged; a worker takes it, has it reviewed
and judged, and keeps it until its machine is gone. simpy keeps the clock and the order of events; steps are callbacks,
not processes, which are ten times as slow (docs/adr/0017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import simpy

from executor.budget import Budget
from executor.errors import BugError
from executor.policy.engine import DECISION_TIMEOUT_S
from executor.pool.plan import Supply, wanted_clones
from executor.queue.queue import PriorityQueue
from harness.simulate.durations import Sampler, stream
from harness.simulate.load import UNLIMITED_MB, Incident, Load
from harness.simulate.measures import Measures, Scram
from harness.simulate.parts import Call, Host, Submitter, Task
from harness.simulate.policy_table import Answers
from harness.simulate.trouble import Trouble

NS: Final = 1_000_000_000
SAFE: Final = "control.safe_mode"
TELL_EVERY: Final = 10_000
UNAVAILABLE: Final = "policy.unavailable"
UNREVIEWED: Final = "reviews.missing"
"""Why a task without a review is refused where no policy is asked; the policy has its own word."""


Progress = Callable[[int, float], None]


class Model:
    """One run. `run` may be called once."""

    def __init__(
        self, load: Load, answers: tuple[Answers, ...] = (), progress: Progress = lambda _tasks, _now: None
    ) -> None:
        """`answers`: the policy's for each source (`policy_table.ask`); none: everything is granted.

        `progress` is told every `TELL_EVERY` arrivals how many there were, and the simulated second.
        """
        self._progress = progress
        self.load = load
        self.measures = Measures()
        self.env = simpy.Environment()
        alone = len({source.requester for source in load.sources}) < 2
        self.queue: PriorityQueue[Task] = PriorityQueue(
            load.serving.queue,
            share=100 if alone else load.serving.queue_share,
            owner_of=lambda task: task.source.requester,
        )
        self._budget = (
            Budget(start=load.budget.start_atp, refill_per_hour=load.budget.refill_per_hour) if load.budget else None
        )
        found: tuple[Answers | None, ...] = answers or (None,) * len(load.sources)
        self._submitters = [
            Submitter(source, load.seed, self.measures.party(source.requester), answer)
            for source, answer in zip(load.sources, found, strict=True)
        ]
        serving = load.serving
        self.hosts = [Host(serving.workers) for _ in range(serving.hosts)]
        self.free = serving.workers * serving.hosts
        self.workers = self.free
        """Of the hosts that are up, at a task or free."""
        self._review, self._decision, self._lease = (
            None if duration.nothing else duration.sampler(stream(load.seed, name))
            for name, duration in (
                ("review_s", load.stages.review_s),
                ("decision_s", load.stages.decision_s),
                ("lease_s", load.stages.lease_s),
            )
        )
        self._clone: Sampler = serving.clone_s.sampler(stream(load.seed, "clone"))
        self._renew: Sampler = (serving.refill_s or serving.clone_s).sampler(stream(load.seed, "refill"))
        self._acquire: Sampler = serving.acquire_s.sampler(stream(load.seed, "acquire"))
        self._limited = serving.memory_mb != UNLIMITED_MB
        self.stopped: Scram | None = None
        self.draining: Scram | None = None
        self.unreviewed: Incident | None = None
        self.slow = 1.0
        self._dispatching = False
        self._last = 0.0
        self._to_come = load.tasks or -1

    def run(self) -> Measures:
        """Let the whole load go through."""
        for host in self.hosts:
            wanted = self._wanted(host)
            host.warm = host.alive = wanted
        Trouble(self).arm()
        for submitter in self._submitters:
            self._next(submitter)
        if self.load.duration_s < float("inf"):
            self.env.run(until=self.load.duration_s)
        else:
            self.env.run()
        self._close()
        return self.measures

    # Arrivals.

    def at(self, moment: float, step: Any, value: object) -> None:
        """Have `step` called with `value` at `moment`, or now where that is past."""
        delay = moment - self.env.now
        Call(self.env, delay if delay > 0 else 0.0, step, value)

    def _next(self, submitter: Submitter) -> None:
        moment = next(submitter.times, None)
        if moment is not None:
            self.at(moment, self._arrive, submitter)

    def _arrive(self, event: Any) -> None:
        if not self._to_come:
            return
        self._to_come -= 1
        submitter, now, measures = event.what, self.env.now, self.measures
        if (moment := next(submitter.times, None)) is not None:
            Call(self.env, moment - now if moment > now else 0.0, self._arrive, submitter)
        # Drawn also for whoever is refused: what one task is like must not depend on what became of another.
        task = Task(submitter, now, submitter.priority(), submitter.service())
        measures.arrived += 1
        task.party.arrived += 1
        submitter.arrived += 1
        if not measures.arrived % TELL_EVERY:
            self._progress(measures.arrived, now)
        if not measures.arrived % measures.stride:
            measures.point(now, len(self.queue), self.workers - self.free)
        if self.stopped is not None:
            self.stopped.refused += 1
            self._refuse(task, SAFE)
        elif code := self.queue.shut_for(task.source.requester):
            self._refuse(task, code)
        else:
            self.queue.push(task, task.priority)
            self.dispatch()
            if (length := len(self.queue)) > measures.longest_queue:
                measures.longest_queue = length

    def _refuse(self, task: Task, code: str) -> None:
        self.measures.refused[code] += 1
        self.ended(task, "refused")

    # Workers.

    def dispatch(self) -> None:
        """Give waiting tasks to free workers, as long as there are both."""
        if self._dispatching:
            return  # a task that ended at once: the loop below goes on with its worker
        if not self.free and self.draining is None:
            return
        self._dispatching = True
        while self.free and self.stopped is None:
            task = self.queue.pop()
            if task is None:
                break
            self._begin(task)
        self._dispatching = False
        if self.draining is not None and not len(self.queue):
            self.draining.drained_s, self.draining = self.env.now, None

    def _begin(self, task: Task) -> None:
        """A worker takes the task: review, decision, lease."""
        now = self.env.now
        host = task.host = self._chosen()
        host.free -= 1
        self.free -= 1
        task.begun = now
        self._waited(task, now - task.arrived)
        took = self._judge(task, host)
        if took > 0:
            host.judging[task] = None
            task.token += 1
            self.later(took, self._judged, task)
        else:
            self._decided(task)

    def _waited(self, task: Task, waited: float) -> None:
        """Note what `task` waited in the queue, in seconds."""
        self.measures.queued_s += waited
        if task.arrived >= self.load.warmup_s:
            self.measures.waits[task.priority].append(waited)
            task.party.waits.append(waited)

    def _chosen(self) -> Host:
        """A host with a free worker: one with a warm machine before one without, then the least busy one."""
        if len(self.hosts) == 1:
            return self.hosts[0]
        able = [host for host in self.hosts if host.free]
        return max(able, key=lambda host: (host.warm > 0, host.free))

    def _judge(self, task: Task, host: Host) -> float:
        """Have `task` judged; seconds until the answer is there."""
        if self.unreviewed is not None:
            answers = task.source.answers
            task.denial = (answers.unreviewed if answers else "") or UNREVIEWED
            return self.unreviewed.answers_after_s
        took = self._review() if self._review else 0.0
        if self._decision:
            decision = self._decision() * self.slow
            if decision > DECISION_TIMEOUT_S:
                task.denial = UNAVAILABLE
                return took + DECISION_TIMEOUT_S
            took += decision
        answers = task.source.answers
        if answers is not None:
            balance = self._budget.balance(task.source.requester, round(self.env.now * NS)) if self._budget else 0
            task.denial = answers.denial(balance, host.alive)
        if self._lease and not task.denial:
            took += self._lease()
        return took

    def _judged(self, event: Any) -> None:
        task, token = event.what
        if task.token == token:
            del task.host.judging[task]
            self._decided(task)

    def _decided(self, task: Task) -> None:
        now = self.env.now
        if task.denial:
            if task.denial.startswith("atp."):
                task.party.nap.falls_asleep(now)
            self.measures.denied[task.denial] += 1
            self._leave(task, "denied")
            return
        task.party.nap.wakes(now)
        if self.stopped is not None:
            self.stopped.turned_away += 1
            self._leave(task, "turned_away")
            return
        answers = task.source.answers
        if self._budget and answers is not None:
            self._budget.reserve(task.source.requester, answers.cost, round(self.env.now * NS), overdraw=True)
        self._start(task)

    def _start(self, task: Task) -> None:
        """Get a machine and run."""
        host, measures, now = task.host, self.measures, self.env.now
        took = self._acquire()
        if host.warm:
            host.warm -= 1
            measures.hits += 1
        else:
            measures.misses += 1
            host.alive += 1
            took += self._clone()
        begins = now + took
        task.due = begins + task.source.timeout_s
        task.ends = min(begins + task.service, task.due)
        host.running[task] = None
        task.token += 1
        self.later(task.ends - now, self.finish, task)
        self.refill(host)

    def finish(self, event: Any) -> None:
        """The task's run is over, unless the event is out of date."""
        task, token = event.what
        if task.token != token:
            return
        host = task.host
        del host.running[task]
        host.alive -= 1
        if task.arrived >= self.load.warmup_s:
            self.measures.turnarounds[task.priority].append(self.env.now - task.arrived)
        self._leave(task, "timed_out" if task.ends >= task.due else "completed")
        self.refill(host)

    def _leave(self, task: Task, end: str) -> None:
        """The task's worker is free again."""
        self.ended(task, end)
        self.measures.busy_s += self.env.now - task.begun
        task.host.free += 1
        self.free += 1
        self.dispatch()

    def ended(self, task: Task, end: str) -> None:
        """`task` has come to one of `measures.ENDS`."""
        self._last = self.env.now
        self.measures.ends[end] += 1
        task.party.ends[end] += 1
        task.source.ends[end] += 1

    def later(self, delay: float, step: Any, task: Task) -> None:
        """Have `step` called with `task` and its token of now."""
        Call(self.env, delay, step, (task, task.token))

    # The pool.

    def _wanted(self, host: Host) -> int:
        serving = self.load.serving
        free = serving.memory_mb - host.alive * serving.machine_mb
        return wanted_clones(Supply(host.warm, serving.pool, serving.machine_mb, free))

    def refill(self, host: Host) -> None:
        """One machine at a time, as the pool's own thread does it."""
        if not self._limited and host.warm + host.cloning >= self.load.serving.pool:
            return
        if not host.up or host.cloning:
            return
        wanted = self._wanted(host)
        if wanted < host.warm:
            self.measures.shed += host.warm - wanted
            host.alive -= host.warm - wanted
            host.warm = wanted
        elif wanted > host.warm:
            host.cloning = 1
            host.alive += 1
            self.at(self.env.now + self._renew(), self._cloned, (host, host.life))

    def _cloned(self, event: Any) -> None:
        host, life = event.what
        if host.life == life:
            self.measures.cloned += 1
            host.cloning = 0
            host.warm += 1
            self.refill(host)

    # The end.

    def _close(self) -> None:
        """Account for whatever is still there."""
        measures, now = self.measures, self.env.now
        until = self.load.duration_s if self.load.duration_s < float("inf") else self._last
        waiting = self.queue.flush()
        here = [task for host in self.hosts for task in (*host.judging, *host.running)]
        measures.left = len(waiting) + len(here)
        for task in waiting:
            # Left out, a load that is never worked off would wait least: only those in front would be counted.
            self._waited(task, now - task.arrived)
        measures.busy_s += sum(until - task.begun for task in here)
        measures.simulated_s = until
        measures.worker_s = self.load.serving.workers * sum(host.up_s(until) for host in self.hosts)
        measures.sources = {one.source.name: (one.arrived, one.ends) for one in self._submitters}
        for party in measures.parties.values():
            party.nap.wakes(until)
        if measures.arrived != sum(measures.ends.values()) + measures.left:
            raise BugError(f"{measures.arrived} tasks came, {measures.ends} ended and {measures.left} are left")
