"""What metrics, reports and commands show of an output; start reading at `metrics.py`."""
