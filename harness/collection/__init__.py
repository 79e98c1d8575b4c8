"""Drills as pytest sees them: items, the executor a process shares, shards."""
