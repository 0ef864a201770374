"""Up to which offset each partition has been delivered, and what may be committed.

Start reading at `progress.py`.
"""
