"""The physics oracle: a kernel is built, run and judged in three machines, and signed for only when it holds."""
