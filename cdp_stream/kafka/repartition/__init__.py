"""How a stopped system gets more partitions: its state moves through the log.

Start reading at ``repartition.py``.
"""
