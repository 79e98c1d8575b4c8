"""The queue: its order (pure) and its journal (what survives a kill)."""

from executor.queue.journal import Journal, Leftover
from executor.queue.queue import CAPACITY, PriorityQueue

__all__ = ["CAPACITY", "Journal", "Leftover", "PriorityQueue"]
