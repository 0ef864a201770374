"""What all sinks share in `cdp.faults` and `cdp.sink-state`.

Start reading at `followed_topic.py`.
"""
