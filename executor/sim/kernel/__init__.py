"""Processes, who runs next, and the filter."""
