"""Stopping everything, and going on: SCRAM, safe mode, the operators' socket."""
