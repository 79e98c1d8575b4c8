"""What `tox -e drills` runs: every scenario, the sabotage sweep, the report, the attestation."""
