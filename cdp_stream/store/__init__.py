"""The rows of a worker's partitions: in memory, or in RocksDB on its disk.

Start reading at `rows.py`.
"""
