"""Mutation testing of policies: change one thing in a rule or in data, and see whether a test notices."""
