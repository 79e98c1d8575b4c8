"""The red team: generates attacks on targets, minimises what it finds and saves it as scenarios."""
