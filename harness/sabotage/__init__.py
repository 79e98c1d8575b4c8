"""Sabotage: every control is taken away once, and some scenario must turn red (issue 6, line 4; docs/adr/0018).

`suite.sweep_suite` is the whole of it. Nothing is imported here: the report reads the matrix (`kept`), and the guards
make reports.
"""
