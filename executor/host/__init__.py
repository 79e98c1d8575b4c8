"""What this host can and cannot do: facts (thin probes) and findings (pure judgements on facts), for `cordon doctor`."""
