"""The judgement: what runs a drill needs, and from their outcomes one ruling. Verdict = effect = events."""
