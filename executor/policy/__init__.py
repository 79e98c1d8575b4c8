"""The policy engine: facts in, one decision out, from a child OPA."""
