"""Drill documents as authors write them: read strictly, checked against the schema, parsed into frozen values."""
