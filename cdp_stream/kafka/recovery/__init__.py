"""How a partition's rows are restored, and how a replaced topic is recognised.

Start reading at ``restore.py``.
"""
