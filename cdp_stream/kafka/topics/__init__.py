"""Which topics there are, and that they are as they must be.

Start reading at ``catalog.py``.
"""
