"""How a partition's rows are read again, and what is not read as if nothing had happened.

Start reading at ``restore.py``.
"""
