"""What a worker shows of itself: facts in its log, metrics, and whether it is live and ready.

Start reading at ``metrics.py``.
"""
