"""How a batch, passing time and a change of definitions change a profile.

Start reading at `evaluation.py`.
"""
