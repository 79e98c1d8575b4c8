"""The warm pool: machines restored from one booted, paused golden machine, ready before they are asked for.

Only its plan is named here: the rest needs a hypervisor, and a plan is also read where there is none.
"""

from executor.pool.plan import PoolPlan

__all__ = ["PoolPlan"]
