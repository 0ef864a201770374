"""What a batch, or passing time, does to a profile, and what a change of definitions does to it.

Start reading at `evaluation.py`.
"""
