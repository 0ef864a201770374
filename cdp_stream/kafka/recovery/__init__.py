"""How a partition's rows are restored, and which topics are no longer what they were.

Start reading at ``restore.py``.
"""
