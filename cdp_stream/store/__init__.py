"""Where the rows of a worker's partitions live: in memory, or in RocksDB on its disk.

Start reading at `rows.py`.
"""
