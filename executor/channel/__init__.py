"""The guest channel: frames, messages, and the host's guarded end of it (DESIGN 5.5)."""
