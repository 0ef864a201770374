"""How definitions become the plan that the engine runs: leaves, slots, and which event reads what.

Start reading at `build.py`, then `plan.py`.
"""
