"""How outputs, rows and the input offset of a partition become durable.

Start reading at ``committer.py``.
"""
