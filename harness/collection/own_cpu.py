"""A processor of its own for each of several processes that simulate.

A simulated machine is one process at a time: engine, puppet, engine again. Left to the scheduler they are spread over
the processors, and each fork and each answer begins with cold caches: a sixth of the processor time (`bench.simulate`).
"""

from __future__ import annotations

import os


def keep_to_one(number: int, count: int) -> None:
    """Keep this process, the `number`-th of `count`, and all it starts on one processor, where there are enough.

    Numbers from `count` on are those of workers that took the place of one that died.
    """
    usable = sorted(os.sched_getaffinity(0))
    if count <= len(usable):
        os.sched_setaffinity(0, {usable[number % count]})
