"""Reviews: cp14 looks for secrets and forbidden patterns, cp18 plans and judges the change's own tests, people sign."""
