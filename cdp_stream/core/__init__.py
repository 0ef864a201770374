"""What the product decides: pure, synchronous, standard library only.

Start reading at `engine/evaluation.py`.
"""
