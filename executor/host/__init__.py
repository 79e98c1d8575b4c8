"""What this host can and cannot do: facts (thin probes), findings (judgements on facts, pure): for `cordon doctor`."""
