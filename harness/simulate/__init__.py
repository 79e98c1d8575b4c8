"""Capacity planning: loads in virtual time over the executor's own queue, budget and pool plan, and sweeps of them."""
