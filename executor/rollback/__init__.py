"""Rollback packs: what a run may change, as it was before, kept so that it can be put back and proven to be back."""
