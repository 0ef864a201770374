"""The history of a partition's input, read beside its live records.

Start reading at ``reader.py``.
"""
