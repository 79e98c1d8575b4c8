"""Code that runs in the simulator's confined helper process; only the standard library is there."""
