"""The host's sentinels: canaries, process and socket facts, packets, looked at before and after every run."""
