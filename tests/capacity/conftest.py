"""Loads to test with."""

from __future__ import annotations

from hypothesis import strategies as st

from executor.intent import Priority
from harness.simulate.arrivals import Arrivals
from harness.simulate.durations import NOTHING, Duration
from harness.simulate.load import Incident, Load, Serving, Source, Stages


def mmc(*, servers: int, busy: float, tasks: int, seed: int = 1, mix: dict[Priority, float] | None = None) -> Load:
    """Poisson arrivals, exponential service times of a mean of 1 s, `servers` workers that are `busy` (0 to 1)."""
    source = Source(
        "all",
        Arrivals("poisson", rates=(servers * busy,)),
        Duration("exponential", (1.0,)),
        priorities=tuple((mix or {Priority.NORMAL: 1.0}).items()),
    )
    return Load("mmc", "M/M/c", Serving(servers, servers), (source,), tasks=tasks, seed=seed, warmup_s=200)


_SECONDS = st.floats(0.01, 5.0)
_DURATIONS = st.one_of(
    st.just(NOTHING),
    st.builds(lambda mean: Duration("exponential", (mean,)), _SECONDS),
    st.builds(lambda mean, sigma: Duration("lognormal", (mean, sigma)), _SECONDS, st.floats(0.1, 1.5)),
    st.builds(lambda values: Duration("empirical", tuple(values)), st.lists(_SECONDS, min_size=1, max_size=5)),
)
_ARRIVALS = st.one_of(
    st.builds(lambda rate: Arrivals("poisson", rates=(rate,)), st.floats(0.2, 20)),
    st.builds(lambda rate, span: Arrivals("every", rates=(rate,), for_s=span), st.floats(0.2, 20), st.floats(1, 60)),
    st.builds(lambda high: Arrivals("bursty", rates=(0.0, high), stays=(3.0, 1.0)), st.floats(1, 50)),
    st.builds(lambda times: Arrivals("trace", times=tuple(sorted(times))), st.lists(st.floats(0, 60), min_size=1)),
)
_INCIDENTS = st.one_of(
    st.builds(lambda at, span: Incident("scram", at, span), st.floats(0, 40), st.floats(0.1, 30)),
    st.builds(lambda at: Incident("scram", at), st.floats(0, 40)),
    st.builds(lambda at, span: Incident("hosts_lost", at, span), st.floats(0, 40), st.floats(0.1, 30)),
    st.builds(lambda at, span: Incident("opa_slow", at, span, factor=50.0), st.floats(0, 40), st.floats(0.1, 30)),
    st.builds(
        lambda at, span, late: Incident("reviewers_down", at, span, answers_after_s=late),
        st.floats(0, 40),
        st.floats(0.1, 30),
        st.floats(0, 5),
    ),
)


@st.composite
def loads(draw: st.DrawFn) -> Load:
    """Small loads of every kind, with at most one incident of each kind."""
    mixes = st.dictionaries(st.sampled_from(Priority), st.floats(0.1, 1), min_size=1)
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    sources = tuple(
        Source(
            name,
            draw(_ARRIVALS),
            draw(_DURATIONS),
            requester=draw(st.sampled_from(["cbo", "cp15"])),
            timeout_s=draw(st.sampled_from([float("inf"), 2.0])),
            priorities=tuple(draw(mixes).items()),
        )
        for name in names
    )
    workers, pool = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    memory = draw(st.sampled_from([1 << 40, 1024, 3000]))
    serving = Serving(
        workers,
        pool,
        hosts=draw(st.integers(1, 3)),
        queue=draw(st.sampled_from([1, 5, 1000])),
        memory_mb=memory,
        clone_s=draw(_DURATIONS),
        acquire_s=draw(_DURATIONS),
    )
    incidents = draw(st.lists(_INCIDENTS, max_size=3, unique_by=lambda one: one.what))
    return Load(
        "random",
        "Random",
        serving,
        sources,
        seed=draw(st.integers(0, 99)),
        tasks=draw(st.integers(1, 150)),
        duration_s=draw(st.sampled_from([float("inf"), 30.0])),
        stages=Stages(review_s=draw(_DURATIONS), decision_s=draw(_DURATIONS), lease_s=draw(_DURATIONS)),
        incidents=tuple(incidents),
    )
