"""A decision in words for people who do not read Rego: what was asked, assumed, checked, granted, and demanded."""
