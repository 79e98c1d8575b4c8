"""The warm pool: machines restored from one booted, paused golden machine, ready before they are asked for."""

from executor.pool.golden import Golden, ensure_golden
from executor.pool.plan import PoolPlan
from executor.pool.warm import WarmProvider

__all__ = ["Golden", "PoolPlan", "WarmProvider", "ensure_golden"]
