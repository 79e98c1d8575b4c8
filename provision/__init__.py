"""What bootstrap.py is made of: facts about this machine, a plan, its steps. Standard library only."""
