"""The applied definitions: published, read by every worker, and in force everywhere.

Start reading at ``source.py``.
"""
