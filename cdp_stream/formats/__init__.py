"""Bytes to core types and back: event batches, membership changes, rows.

Start reading at `events.py`.
"""
