"""Connectors that write objects to a bucket, and the names and forms of those objects.

Start reading at `bucket.py`.
"""
