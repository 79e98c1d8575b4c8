"""Cordon's drills: scenarios written in YAML, run through the executor and judged; pytest is the runner.

Nothing is imported here: the policy tools in this package must not pay for the runner, nor the runner for them.
"""
