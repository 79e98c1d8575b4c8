"""What queueing theory says of a service with Poisson arrivals and exponential service times. Means in seconds.

Erlang C for one class; Cobham 1954 (Kella and Yechiali 1985) for classes that do not interrupt each other, all with
the same service time.
"""

from __future__ import annotations

from collections.abc import Sequence

from executor.errors import MisuseError


def erlang_c(servers: int, offered: float) -> float:
    """The probability that an arrival has to wait; `offered` is arrivals times service time, below `servers`.

    By Erlang B's recursion, which does not overflow.
    """
    if not 0 < offered < servers:
        raise MisuseError(f"{offered:g} Erlang on {servers} servers: the queue has no steady state")
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def mean_wait(servers: int, per_s: float, service_s: float) -> float:
    """The mean wait of an M/M/c queue."""
    offered = per_s * service_s
    return erlang_c(servers, offered) * service_s / (servers - offered)


def mean_waits_by_priority(servers: int, rates_per_s: Sequence[float], service_s: float) -> tuple[float, ...]:
    """The mean wait of each class, the most urgent first; nobody is interrupted."""
    offered = sum(rates_per_s) * service_s
    base = erlang_c(servers, offered) * service_s / servers
    waits: list[float] = []
    before = 0.0
    for rate in rates_per_s:
        upto = before + rate * service_s / servers
        waits.append(base / ((1 - before) * (1 - upto)))
        before = upto
    return tuple(waits)
