"""What `cdp bench` measures: the reference load, a worker's rate, latency, memory and recovery.

Start reading at `suite.py`; `reference_load.py` has the load.
"""
