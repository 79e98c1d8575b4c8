"""What is left of a run for people and programs: records, summary, Allure report, trend, attestation."""
