"""The policy gate: what a change of `policies/` must pass (`python -m harness.gate`)."""
