"""What a change of policies does: which scenarios turn, which past decisions flip, which test notices."""
