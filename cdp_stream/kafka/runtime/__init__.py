"""What a worker does with the partitions that the group assigns to it, and when.

Start reading at ``partition_task.py``.
"""
