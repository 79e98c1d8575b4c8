"""System calls, a module for each family."""
