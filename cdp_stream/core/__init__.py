"""All decisions of the product: pure, synchronous, standard library only.

Start reading at `engine/evaluation.py`.
"""
