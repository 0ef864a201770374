"""How outputs, rows and the input position of a partition become durable.

Start reading at ``committer.py``.
"""
