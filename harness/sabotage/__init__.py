"""Sabotage: every control is taken away once, and some scenario must turn red (docs/adr/0018).

`suite.sweep_suite` is the whole of it. Nothing is imported here: the report reads the matrix (`kept`), and the guards
make reports.
"""
