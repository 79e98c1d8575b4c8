"""Replay: recorded decisions asked again of other policies, to see what a change would flip before it is merged."""
